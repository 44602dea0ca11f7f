use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after(n: Missing);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self) {}
}

fn main() {}
