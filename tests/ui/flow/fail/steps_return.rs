use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after;
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self) -> u8 { 1 }
}

fn main() {}
