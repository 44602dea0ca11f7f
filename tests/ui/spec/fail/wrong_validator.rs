use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input steps: u32 = 10, check(|steps| *steps + 1, "must be positive"); } }

fn main() {}
