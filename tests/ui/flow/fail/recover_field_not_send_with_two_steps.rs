use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax {
    shared: std::rc::Rc<u8>,
}
spec! { Relax {} }
outline! { Relax {
    a;
    b;
} }
impl Relax {
    fn a(&mut self) {}
    async fn b(&mut self, _: &mut Cx<Self>) -> Result<(), StepError> { Ok(()) }
}

fn main() {}
