use procession::spec;

#[derive(Default)]
struct Relax;

#[derive(Default)]
struct Scf;

#[derive(Default)]
struct Phonon;

spec! { Scf { input extras: dynamic<String>; input dynamic<u8>; } }
hand::process!(Scf);

spec! { Phonon { input rest_from: u32; } }
hand::process!(Phonon);

spec! { Relax {
    input work { dynamic<u8>; }
    expose inputs of Phonon as work;
} }

fn main() {}
