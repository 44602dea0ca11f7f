use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output energies { total: optional<f64>; } } }
outline! { Relax {
    b => energies.totl;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self) -> f64 { 1.0 }
}

fn main() {}
