use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input options {
        inner { second: Structur; }
    }
}}

fn main() {}
