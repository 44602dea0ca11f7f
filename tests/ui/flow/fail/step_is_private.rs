use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relax {
    other;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}
struct Relay;
mod inner {
    impl super::Relax { fn other(&mut self) {} }
}

fn main() {}
