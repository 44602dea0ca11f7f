use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input structure: String; input cutoff: f64; } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().structure("a").cutoff(1.0).structure("b"));
}
