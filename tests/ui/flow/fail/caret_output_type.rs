use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output structure: String; output energy: u8; } }
outline! { Relax {
    a => structure, energy;
} }
impl Relax {
    fn a(&mut self) -> (String, f64) { (String::new(), 0.0) }
}

fn main() {}
