use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input structure: String; input steps: u32 = 10; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().steps(3));
}
