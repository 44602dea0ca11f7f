use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    #[inline]
    run;
} }
impl Greet {
    fn run(&mut self) {}
}

fn main() {}
