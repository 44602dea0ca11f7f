use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {  } }
steps! { Greet {
    run;
    after(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8);
} }
impl Greet {
    fn run(&mut self) {}
}

fn main() {}
