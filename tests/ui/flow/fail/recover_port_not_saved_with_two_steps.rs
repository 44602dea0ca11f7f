use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {
    input thread: std::sync::mpsc::SyncSender<u8>;
    output sender: std::sync::mpsc::SyncSender<u8>;
} }
outline! { Relax {
    a;
    b => sender;
} }
impl Relax {
    fn a(&mut self) {}
    fn b(&mut self, cx: &mut Cx<Self>) -> std::sync::mpsc::SyncSender<u8> {
        cx.inputs().thread.clone()
    }
}

fn main() {}
