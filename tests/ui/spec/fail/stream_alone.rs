use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream; } }
hand::process!(Count);

fn main() {}
