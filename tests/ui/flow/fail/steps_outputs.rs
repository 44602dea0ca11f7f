use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet { output n: u8; } }
steps! { Greet {
    run;
    after => n;
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self) -> u8 { 1 }
}

fn main() {}
