use procession::prelude::*;

struct Socket;
impl Default for Relax { fn default() -> Self { Self { socket: Socket } } }
#[process]
#[derive()]
struct Relax {
    #[process(skip)]
    socket: Socket,
}
spec! { Relax {} }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
