use procession::spec;
use procession::stream::Wire;

#[derive(Default)]
struct Count;

spec! { Count { input steps: u32 = stream in texts: String; } }
hand::process!(Count);

fn main() {
    hand::launch(Count::inputs().steps(1).texts(Wire::new("texts")));
}
