use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input steps: u32 = 10 +; input other: u8; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().other(1));
}
