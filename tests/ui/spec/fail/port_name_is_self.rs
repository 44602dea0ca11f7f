use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input self: u8;
}}

fn main() {}
