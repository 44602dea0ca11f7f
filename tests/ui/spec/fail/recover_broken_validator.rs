use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32 = 1, check(|steps| steps., "a");
    output energy: f64;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().steps(1));
}
