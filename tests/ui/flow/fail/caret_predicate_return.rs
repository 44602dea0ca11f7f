use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    if_(p) { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> u8 { 1 }
}

fn main() {}
