use procession::spec;
use procession::stream::Wire;

#[derive(Default)]
struct Count;

spec! { Count { stream texts: String; } }
hand::process!(Count);

fn main() {
    hand::launch(Count::inputs().texts(Wire::new("texts")));
}
