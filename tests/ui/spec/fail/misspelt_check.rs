use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input steps: u32, chek(|n| *n > 0, "must be positive"); } }

fn main() {}
