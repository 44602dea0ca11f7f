use procession::spec;
use procession::stream::Wire;

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: String stream out lines: u32; } }
hand::process!(Count);

fn main() {
    hand::launch(Count::inputs().texts(Wire::new("texts")).lines(Wire::new("lines")));
}
