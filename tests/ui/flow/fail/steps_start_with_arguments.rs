use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {  } }
steps! { Greet {
    run(n: u8);
} }
impl Greet {
    fn run(&mut self) {}
}

fn main() {}
