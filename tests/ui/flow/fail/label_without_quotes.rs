use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a as first;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
