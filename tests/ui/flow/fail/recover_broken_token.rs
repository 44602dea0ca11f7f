use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a + 1;
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
