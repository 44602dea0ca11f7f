use procession::spec;

#[derive(Default)]
struct Relax;

#[derive(Default)]
struct Scf;

#[derive(Default)]
struct Phonon;

spec! { Scf { input structure: String; input dynamic<String>; } }
hand::process!(Scf);

spec! { Phonon { input displacement: f64; input dynamic<String>; } }
hand::process!(Phonon);

spec! { Relax {
    expose inputs of Scf as work;
    expose inputs of Phonon as work;
} }

fn main() {}
