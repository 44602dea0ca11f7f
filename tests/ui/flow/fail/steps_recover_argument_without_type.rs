use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {  } }
steps! { Greet {
    run;
    after(n);
    last(n: u8);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self) {}
    fn last(&mut self, n: u8) { let _ = n; }
}

fn main() {}
