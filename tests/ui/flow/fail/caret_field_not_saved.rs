use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax {
    n: u8,
    opened: Option<std::net::TcpStream>,
}
spec! { Relax {  } }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
