use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { {
    a;
} }
steps! { Relax { a; } }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
