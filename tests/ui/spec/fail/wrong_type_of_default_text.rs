use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input title: String = 10; } }

fn main() {}
