use procession::prelude::*;

#[process]
#[derive(Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet {
    run;
    after(n: u8, thread: std::thread::JoinHandle<()>);
} }
impl Greet {
    fn run(&mut self) {}
    fn after(&mut self, n: u8, thread: std::thread::JoinHandle<()>) { drop((n, thread)); }
}

fn main() {}
