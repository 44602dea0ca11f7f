use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output n: u8; output text: String; } }
outline! { Relax {
    b => n, text;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self) -> (String, u8) { (String::new(), 1) }
}

fn main() {}
