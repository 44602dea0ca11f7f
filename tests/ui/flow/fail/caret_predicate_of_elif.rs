use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relax {
    if_(p) { a }
    elif_(missing) { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
