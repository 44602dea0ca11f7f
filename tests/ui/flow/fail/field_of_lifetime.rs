use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax {
    text: &'static str,
}
spec! { Relax {} }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
