use procession::spec;

const MESSAGE: &str = "too small";

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32, check(|steps| *steps > 1, MESSAGE);
}}
hand::process!(Relax);

fn main() {
    let _ = MESSAGE;
    hand::launch(Relax::inputs().steps(2));
}
