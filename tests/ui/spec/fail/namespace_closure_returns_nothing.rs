use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input options { hours: u32; }
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().options(|options| { options.hours(1); }));
}
