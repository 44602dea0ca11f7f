use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input options.type: String; } }
hand::process!(Relax);
fn main() { hand::launch(Relax::inputs().options(|options| options.r#type("a"))); }
