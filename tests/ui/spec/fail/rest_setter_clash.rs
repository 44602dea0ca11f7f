use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras { dynamic<f64>; rest_from: u8; } } }

fn main() {  }
