use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {

} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
