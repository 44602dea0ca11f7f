use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in inputs: String; } }
hand::process!(Count);

fn main() {}
