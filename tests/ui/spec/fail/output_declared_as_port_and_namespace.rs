use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    output structure: String;
    output structure { x: f64; }
}}

fn main() {}
