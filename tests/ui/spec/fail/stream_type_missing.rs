use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: ; } }
hand::process!(Count);

fn main() {}
