use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    output energy: f64;
    output energy: f64;
}}

fn main() {}
