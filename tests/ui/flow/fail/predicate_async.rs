use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }
outline! { Relax {
    while_(q) { a }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    async fn q(&self) -> bool { true }
}

fn main() {}
