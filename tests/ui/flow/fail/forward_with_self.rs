use procession::prelude::*;

#[process]
#[derive(Default)]
struct Scf;
spec! { Scf { output n: optional<u8>; } }
outline! { Scf { run } }
impl Scf { fn run(&mut self) {} }
#[process]
#[derive(Default)]
struct Relax { scf: Child<Scf> }
spec! { Relax { expose outputs of Scf as last; } }
outline! { Relax {
    a => last from self.scf;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
