use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { input texts: u32; stream in texts: String; } }
hand::process!(Count);

fn main() {}
