use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input : u8;
}}

fn main() {}
