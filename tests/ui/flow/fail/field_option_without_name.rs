use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax {
    #[process]
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
