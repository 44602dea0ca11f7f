use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras: dynamic<u8>; input extras_from: u8; } }

fn main() {}
