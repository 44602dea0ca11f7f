use procession::prelude::*;

#[process]
#[derive(Default)]
struct Scf;
spec! { Scf {} }
outline! { Scf { run } }
impl Scf { fn run(&mut self) {} }
#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relax {
    b;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self, cx: &mut Cx<Scf>) { let _ = cx; }
}

fn main() {}
