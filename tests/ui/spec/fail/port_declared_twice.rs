use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32;
    input steps: u64;
}}

fn main() {}
