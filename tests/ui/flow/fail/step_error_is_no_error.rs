use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    b;
} }
impl Relax {
    async fn b(&mut self) -> Result<(), u8> { Ok(()) }
}

fn main() {}
