use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output energy: f64; } }
outline! { Relax {
    fin => energi;
} }
impl Relax {
    fn fin(&mut self) -> f64 { 1.0 }
}

fn main() {}
