use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
