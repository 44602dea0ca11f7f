use procession::spec;

#[derive(Default)]
struct Count;

struct Text;

spec! { Count { stream in texts: Text; } }
hand::process!(Count);

fn main() {}
