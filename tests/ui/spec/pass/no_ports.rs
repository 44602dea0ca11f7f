#![deny(warnings)]

#[derive(Default)]
struct Empty;
procession::spec! { Empty {} }
hand::process!(Empty);

fn main() {
    hand::launch(Empty::inputs());
}
