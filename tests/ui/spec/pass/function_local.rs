#![deny(warnings)]

fn main() {
    #[derive(Default)]
    struct Scf;
    procession::spec! { Scf { input structure: u8; output energy: f64; } }
    hand::process!(Scf);

    #[derive(Default)]
    struct Relax;
    procession::spec! { Relax { expose inputs of Scf as scf; expose outputs of Scf as scf; } }
    hand::process!(Relax);

    hand::launch(Relax::inputs().scf(|scf| scf.structure(1)));
}
