use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { exit 410 NotConverged "no convergence"; } }
outline! { Relax {
    if_(p) { return_(NotConvergd) }
    a;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
