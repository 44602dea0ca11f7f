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

spec! { Relax { expose inputs of Scf as work { exclude: options }; expose inputs of Phonon as work; } }
hand::process!(Relax);
fn main() { hand::launch(Relax::inputs().work(|work| work.structure("a").cutoff(1.0))); }
