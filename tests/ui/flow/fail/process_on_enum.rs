use procession::prelude::*;

#[process]
enum Relax { A }
spec! { Relax {} }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() { let _ = Relax::A; }
