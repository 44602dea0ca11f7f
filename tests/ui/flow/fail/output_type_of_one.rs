use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output structure: String; } }
outline! { Relax {
    a => structure;
} }
impl Relax {
    async fn a(&mut self) -> Result<u8, StepError> { Ok(0) }
}

fn main() {}
