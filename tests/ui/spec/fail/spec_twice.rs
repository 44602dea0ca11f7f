use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input first: u32; } }
spec! { Relax { input second: u32; } }

fn main() {}
