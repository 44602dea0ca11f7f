use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras { known: u8; dynamic<f64>; } } }
hand::process!(Relax);
fn main() { hand::launch(Relax::inputs().extras(|extras| extras.known(1).rest("a", "b"))); }
