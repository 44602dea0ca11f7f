use procession::prelude::*;

#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet { run } }
impl Greet {
    fn run(&mut self) {}
}

fn main() {}
