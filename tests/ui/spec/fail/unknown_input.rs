use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input structure: String; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().structur("a"));
}
