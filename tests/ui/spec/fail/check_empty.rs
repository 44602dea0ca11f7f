use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32, check();
}}

fn main() {}
