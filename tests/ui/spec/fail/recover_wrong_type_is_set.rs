use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().steps("1"));
}
