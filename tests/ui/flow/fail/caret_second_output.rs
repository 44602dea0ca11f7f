use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output n: u8; output text: optional<String>; } }
outline! { Relax {
    b => n, txt;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self) -> (u8, String) { (1, String::new()) }
}

fn main() {}
