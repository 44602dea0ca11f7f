use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input machine.options.walltime: u64; } }
hand::process!(Relax);
fn main() { hand::launch(Relax::inputs().machine(|machine| machine.options(|options| options.waltime(1)))); }
