use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax; }

fn main() {}
