use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras { dynamic<f64>; known: u8; dynamic<u8>; } } }

fn main() {  }
