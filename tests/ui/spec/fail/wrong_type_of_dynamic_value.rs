use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras: dynamic<u32>; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().extras("a", "b"));
}
