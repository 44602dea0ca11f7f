use procession::prelude::*;

#[process]
#[derive(Clone, Copy)]
union Relax {
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
