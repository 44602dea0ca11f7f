use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output structure: u8; } }
outline! { Relax {
    if_(p) { finish => structure } else_ { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn finish(&mut self) -> u8 { 1 }
}

fn main() {}
