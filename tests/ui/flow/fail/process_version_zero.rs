use procession::prelude::*;

#[process(version = 0)]
#[derive(Default)]
struct Relax {
    count: u32,
}
spec! { Relax {} }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
