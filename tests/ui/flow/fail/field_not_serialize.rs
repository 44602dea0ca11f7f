use procession::prelude::*;

#[derive(Default)]
struct Cache;

#[process]
#[derive(Default)]
struct Relax {
    n: Vec<Cache>,
}
spec! { Relax {  } }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
