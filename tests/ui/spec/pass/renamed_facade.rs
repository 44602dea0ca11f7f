#![deny(warnings)]

extern crate procession as durable;

mod inner {
    #[derive(Default)]
    pub struct Scf;
    durable::spec! { Scf { input structure: u8; output energy: f64; } }
    hand::process!(Scf);
}

#[derive(Default)]
struct Relax;
durable::spec! { Relax { expose inputs of inner::Scf as scf; expose outputs of inner::Scf; exit 400 Failed "no"; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().scf(|scf| scf.structure(1)));
}
