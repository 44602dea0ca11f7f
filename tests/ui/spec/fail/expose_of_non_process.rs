use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { expose inputs of String as text; } }

fn main() {}
