use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { exit 410 First "first"; exit 411 First "second"; } }

fn main() {}
