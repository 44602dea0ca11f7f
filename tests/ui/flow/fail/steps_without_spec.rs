use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
steps! { Greet {
    run;
    after(n: u8);
} }
impl Greet {
    fn run(&mut self, cx: &mut Cx<Self>) -> Next<Self> { cx.next().after(1) }
    fn after(&mut self, n: u8) { let _ = n; }
}

fn main() {}
