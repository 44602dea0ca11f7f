use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { output forces.x: f64; output forces: f64; } }

fn main() {  }
