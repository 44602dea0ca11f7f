use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    blocking a;
} }
impl Relax {
    async fn a(&mut self) {}
}

fn main() {}
