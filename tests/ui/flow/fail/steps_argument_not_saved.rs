use procession::prelude::*;

struct Cache;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {  } }
steps! { Greet {
    run;
    after(n: Vec<Cache>);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self, n: Vec<Cache>) { drop(n); }
}

fn main() {}
