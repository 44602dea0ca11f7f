use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: ;
    input hours: u32;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().hours(1));
}
