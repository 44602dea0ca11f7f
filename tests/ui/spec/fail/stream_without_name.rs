use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in; } }
hand::process!(Count);

fn main() {}
