use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: Strin; } }
hand::process!(Count);

fn main() {}
