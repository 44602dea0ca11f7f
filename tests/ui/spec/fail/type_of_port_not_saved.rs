use procession::spec;

#[derive(Default)]
struct Relax;

struct Structure;

spec! { Relax { input structure: Structure; } }

fn main() {}
