use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { exit 410 NotConverged "no"; } }
outline! { Relax {
    if_(p) { a }
    else_ { return_(NotConvergd) }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
