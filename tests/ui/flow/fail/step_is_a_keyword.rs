use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relax {
    struct;
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
