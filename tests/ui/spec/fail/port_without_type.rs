use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps;
}}

fn main() {}
