use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    blocking after;
} }
impl Greet {
    fn run(&mut self) {}
    async fn after(&mut self) {}
}

fn main() {}
