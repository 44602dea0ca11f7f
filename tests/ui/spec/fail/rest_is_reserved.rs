use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras { rest: u8; dynamic<f64>; } } }

fn main() {  }
