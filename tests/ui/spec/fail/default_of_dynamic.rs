use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input extras: dynamic<u8> = 1;
}}

fn main() {}
