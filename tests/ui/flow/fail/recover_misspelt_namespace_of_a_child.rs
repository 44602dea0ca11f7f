use procession::prelude::*;

#[process]
#[derive(Default)]
struct Scf;
spec! { Scf { output energy: f64; } }
outline! { Scf { run => energy; } }
impl Scf {
    fn run(&mut self) -> f64 { 1.0 }
}

#[process]
#[derive(Default)]
struct Relax { scf: Child<Scf> }
spec! { Relax { expose outputs of Scf as scf; } }
outline! { Relax {
    fin => sfc from scf;
} }
impl Relax {
    fn fin(&mut self) {}
}

fn main() {}
