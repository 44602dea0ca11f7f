use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input extras: dynamic<u8>;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().extras_from([("a", "b")]));
}
