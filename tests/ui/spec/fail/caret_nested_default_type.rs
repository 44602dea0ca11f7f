use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input machine.options.walltime: u64 = "long"; } }

fn main() {  }
