use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras: dynamic<f64>; input extras.known: u8; } }

fn main() {  }
