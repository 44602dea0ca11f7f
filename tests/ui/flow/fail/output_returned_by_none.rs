use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output n: u8; } }
outline! { Relax {
    a => n;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
