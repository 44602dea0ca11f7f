use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relex {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
