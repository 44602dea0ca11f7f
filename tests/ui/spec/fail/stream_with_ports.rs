use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in texts { a: String; } } }
hand::process!(Count);

fn main() {}
