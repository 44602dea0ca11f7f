use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output structure: u8; } }
outline! { Relax {
    while_(p) { finish => structure }
} }
impl Relax {
    fn p(&self) -> bool { true }
    fn finish(&mut self) -> u8 { 1 }
}

fn main() {}
