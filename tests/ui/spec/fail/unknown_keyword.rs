use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { parameter structure: String; input steps: u32; } }

fn main() {}
