use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output n: u8; } }
outline! { Relax {
    if_(p) { b => n; } else_ { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self) -> u8 { 1 }
}

fn main() {}
