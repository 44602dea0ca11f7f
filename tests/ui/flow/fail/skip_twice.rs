use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax {
    #[process(skip, skip)]
    n: u8,
}
spec! { Relax {  } }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
