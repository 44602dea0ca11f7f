use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a;
    b;
} }
impl Relax {
    fn a(&mut self) {}
    fn b(&mut self) -> String { String::new() }
}

fn main() {}
