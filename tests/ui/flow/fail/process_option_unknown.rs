use procession::prelude::*;

#[process(nam = "x", version = 2)]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
