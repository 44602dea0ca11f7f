use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    loop;
} }
impl Greet {
    fn run(&mut self) {}
}

fn main() {}
