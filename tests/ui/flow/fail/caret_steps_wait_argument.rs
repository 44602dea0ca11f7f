use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    resumed(n: u8, answer: String);
} }
impl Greet {
    fn run(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("text").resumed(1, "two")
    }
    fn resumed(&mut self, n: u8, answer: String) { drop((n, answer)); }
}

fn main() {}
