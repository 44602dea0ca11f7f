use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input type: u8;
}}

fn main() {}
