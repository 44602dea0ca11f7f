use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in a.texts: String; } }
hand::process!(Count);

fn main() {}
