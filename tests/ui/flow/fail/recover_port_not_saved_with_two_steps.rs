use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {
    output sender: std::sync::mpsc::SyncSender<u8>;
} }
outline! { Relax {
    a;
    b => sender;
} }
impl Relax {
    fn a(&mut self) {}
    fn b(&mut self) -> std::sync::mpsc::SyncSender<u8> {
        std::sync::mpsc::sync_channel(1).0
    }
}

fn main() {}
