use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output o0: optional<u8>; output o1: optional<u8>; output o2: optional<u8>; output o3: optional<u8>; output o4: optional<u8>; output o5: optional<u8>; output o6: optional<u8>; output o7: optional<u8>; output o8: optional<u8>; } }
outline! { Relax {
    b => o0, o1, o2, o3, o4, o5, o6, o7, o8;
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
    fn b(&mut self) -> (u8, u8, u8, u8, u8, u8, u8, u8) { (0, 0, 0, 0, 0, 0, 0, 0) }
}

fn main() {}
