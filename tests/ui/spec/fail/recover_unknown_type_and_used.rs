use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: Missing;
    input hours: u32;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().hours(1).steps(2));
}
