use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output structure: u8; } }
outline! { Relax {
    while_(p) {
        if_(p) { a } elif_(p) { return_; }
    }
    finish => structure;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn finish(&mut self) -> u8 { 1 }
}

fn main() {}
