use procession::prelude::*;

#[process(needs = u8)]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
