use procession::prelude::*;

#[process(name = "relax")]
#[derive(Default)]
struct Relax {
    first: u32,
    cache: std::collections::BTreeMap<String, std::sync::mpsc::Sender<u8>>,
    last: u32,
}
spec! { Relax {} }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
