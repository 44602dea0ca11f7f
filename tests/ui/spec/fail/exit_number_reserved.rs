use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { exit 11 Missing "missing"; } }

fn main() {}
