use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32;
    input name: String;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().name("a"));
    hand::launch(Relax::inputs().name("a").steps(1));
}
