use procession::prelude::*;

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
    fn b(self) {}
}

fn main() {}
