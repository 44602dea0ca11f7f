use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a;
    while_(unconvergd) { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn unconverged(&self) -> bool { true }
}

fn main() {}
