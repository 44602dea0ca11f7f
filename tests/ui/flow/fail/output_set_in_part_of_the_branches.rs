use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax {}

spec! { Relax { output forces { x: f64; y: f64; } } }

outline! { Relax { if_(small) { first => forces.x, forces.y; } else_ { second => forces.y; } } }

impl Relax {
    fn small(&self) -> bool {
        true
    }
    fn first(&mut self) -> (f64, f64) {
        (1.0, 2.0)
    }
    fn second(&mut self) -> f64 {
        1.0
    }
}

fn main() {}
