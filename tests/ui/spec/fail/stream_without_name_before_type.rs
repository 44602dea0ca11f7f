use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in: String; } }
hand::process!(Count);

fn main() {}
