use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32 = 3
    input cutoff: f64;
    output energy: f64;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().steps(1).cutoff(1.0));
}
