use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input extras: dynamic<>;
}}

fn main() {}
