use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { output steps: u32 = 10; } }

fn main() {}
