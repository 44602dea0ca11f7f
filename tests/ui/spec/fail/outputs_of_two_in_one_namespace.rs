use procession::spec;

#[derive(Default)]
struct Relax;

#[derive(Default)]
struct Scf;

#[derive(Default)]
struct Phonon;

spec! { Scf { input structure: String; input cutoff: f64; input options { walltime: u64; } output energy: f64; } }
hand::process!(Scf);

spec! { Phonon { input displacement: f64; output frequency: f64; } }
hand::process!(Phonon);

spec! { Relax { expose outputs of Scf as last; expose outputs of Phonon as last; } }

fn main() {  }
