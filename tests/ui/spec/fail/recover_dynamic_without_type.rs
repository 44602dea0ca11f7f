use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input extras { known: u8; dynamic<>; } input steps: u32; } }
hand::process!(Relax);
fn main() { hand::launch(Relax::inputs().extras(|extras| extras.known(1)).steps(1)); }
