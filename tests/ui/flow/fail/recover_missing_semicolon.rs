use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a
    b;
    a;
} }
impl Relax {
    fn a(&mut self) {}
    fn b(&mut self) {}
}

fn main() {}
