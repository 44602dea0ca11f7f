use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    exit 410 loop "a";
}}

fn main() {}
