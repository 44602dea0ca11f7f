use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output structure: optional<u8>; } }
outline! { Relax {
    a => structur;
} }
impl Relax {
    fn a(&mut self) -> u8 { 1 }
}

fn main() {}
