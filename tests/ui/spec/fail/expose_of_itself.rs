use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { expose inputs of Relax as inner; } }

fn main() {}
