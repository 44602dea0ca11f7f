use procession::prelude::*;

#[process(nam = "relax")]
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
    fn b(&self) -> u32 { self.count }
}

fn main() {}
