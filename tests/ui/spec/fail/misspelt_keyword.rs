use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { imput structure: String; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().structure("a"));
}
