use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after(thread: std::thread::JoinHandle<()>);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self, thread: std::thread::JoinHandle<()>) { drop(thread); }
    fn other(&mut self, cx: &mut Cx<Self>, thread: std::thread::JoinHandle<()>) -> Next<Self> { cx.next().after(thread) }
}

fn main() {}
