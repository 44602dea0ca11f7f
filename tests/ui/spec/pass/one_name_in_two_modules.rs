#![deny(warnings)]

mod first {
    #[derive(Default)]
    pub struct Scf;
    procession::spec! { Scf { input structure: u8; } }
    hand::process!(Scf);
}

mod second {
    #[derive(Default)]
    pub struct Scf;
    procession::spec! { Scf { input structure: u8; } }
    hand::process!(Scf);
}

#[derive(Default)]
struct Relax;
procession::spec! { Relax { expose inputs of first::Scf as first; expose inputs of second::Scf as second; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().first(|ports| ports.structure(1)).second(|ports| ports.structure(2)));
}
