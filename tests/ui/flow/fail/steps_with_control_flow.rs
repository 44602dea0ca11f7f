use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {  } }
steps! { Greet {
    run;
    if_(p) { run }
} }
impl Greet {
    fn run(&mut self) {}
}

fn main() {}
