use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax {}

spec! { Relax { output forces { x: f64; y: f64; } output results.energy: f64; } }

outline! { Relax { first => forces.x, results.energy; } }

impl Relax {
    fn first(&mut self) -> (f64, f64) {
        (1.0, 2.0)
    }
}

fn main() {}
