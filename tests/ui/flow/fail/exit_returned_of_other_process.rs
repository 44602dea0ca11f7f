use procession::prelude::*;

#[process]
#[derive(Default)]
struct Scf;
spec! { Scf { exit 411 Failed "no"; } }
outline! { Scf { run } }
impl Scf { fn run(&mut self) {} }
#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { exit 410 NotConverged "no"; } }
outline! { Relax {
    b;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self) -> ScfExit { ScfExit::Failed }
}

fn main() {}
