use procession::spec;

#[derive(Default)]
struct Relax;

#[derive(Default)]
struct Scf;

#[derive(Default)]
struct Phonon;

spec! { Scf { input extras: dynamic<String>; input dynamic<u8>; } }
hand::process!(Scf);

spec! { Phonon { input extras_from: u32; } }
hand::process!(Phonon);

spec! { Relax {
    expose inputs of Scf;
    input extras_from: u32;
} }

fn main() {}
