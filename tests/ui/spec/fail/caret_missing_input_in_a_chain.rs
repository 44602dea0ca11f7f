use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32;
    input hours: u32;
}}
hand::process!(Relax);

fn main() {
    let inputs = Relax::inputs()
        .steps(1);
    hand::launch(inputs);
}
