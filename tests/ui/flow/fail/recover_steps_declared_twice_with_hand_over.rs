use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after(n: u8);
    after(n: u8);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self, n: u8) { let _ = n; }
    fn other(&mut self, cx: &mut Cx<Self>) -> Next<Self> { cx.next().after(1) }
}

fn main() {}
