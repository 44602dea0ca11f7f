use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relax {
    /// Why.
    if_(p) { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
