use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a;
    b;
} }
impl Relax {
    fn a(&mut self) {}
    async fn b(&mut self) -> Result<String, StepError> { Ok(String::new()) }
}

fn main() {}
