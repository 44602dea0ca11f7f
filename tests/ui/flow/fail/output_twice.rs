use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output n: u8; } }
outline! { Relax {
    a => n, n;
} }
impl Relax {
    fn a(&mut self) -> (u8, u8) { (1, 1) }
}

fn main() {}
