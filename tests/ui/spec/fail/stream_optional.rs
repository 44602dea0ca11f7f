use procession::spec;

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: optional<String>; } }
hand::process!(Count);

fn main() {}
