use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output n: optional<u8>; } }
outline! { Relax {
    b;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self) -> u8 { 1 }
}

fn main() {}
