use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {
    input shared: std::rc::Rc<u8>;
} }
outline! { Relax {
    a;
    b;
} }
impl Relax {
    fn a(&mut self) {}
    async fn b(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let _ = cx.inputs();
        Ok(())
    }
}

fn main() {}
