use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream out texts: dynamic<String>; } }
hand::process!(Count);

fn main() {}
