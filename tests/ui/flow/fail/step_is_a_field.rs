use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax { count: u32 }
spec! { Relax {  } }
outline! { Relax {
    count;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

fn main() {}
