//! One error per missing input, each with how to set it.

#[derive(Default)]
struct Relax;

procession::spec! { Relax { input a: u8; input b: u8 = 1; input c { d: u8; e { f: u8; } } input g: optional<u8>; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs());
}
