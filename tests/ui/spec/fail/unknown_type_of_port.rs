use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input structure: Structur; output steps: u32; } }

fn main() {}
