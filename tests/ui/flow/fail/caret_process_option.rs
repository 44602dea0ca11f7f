use procession::prelude::*;

#[process(
    version = 2,
    hooc,
)]
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
