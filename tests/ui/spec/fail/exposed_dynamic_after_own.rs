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
    input dynamic<String>;
    expose inputs of Scf;
} }

fn main() {}
