use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after(n: u8 m: u8);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self, n: u8, m: u8) { let _ = (n, m); }
}

fn main() {}
