use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after(text: &str);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self, text: &str) { drop(text); }
}

fn main() {}
