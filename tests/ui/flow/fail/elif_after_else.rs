use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relax {
    if_(p) { a } else_ { a } elif_(p) { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
