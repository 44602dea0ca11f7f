use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after(n: Vec<);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self, n: u8) { let _ = n; }
}

fn main() {}
