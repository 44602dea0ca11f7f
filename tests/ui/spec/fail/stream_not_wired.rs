use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: String; } }
hand::process!(Count);

fn main() {
    hand::launch(Count::inputs());
}
