use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { exit 410 First; } }

fn main() {}
