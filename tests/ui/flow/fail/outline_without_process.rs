use procession::prelude::*;

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
