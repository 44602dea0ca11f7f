use procession::prelude::*;

#[process(needs(u16))]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self, cx: &mut Cx<Self>) { cx.resource::<u8>(); }
}

fn main() {}
