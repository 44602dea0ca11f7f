use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input title: String; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().title(10));
}
