use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32 = 10, check(|steps| *steps > 0, "a"), check(|steps| steps.to_string(), "b");
}}

fn main() {}
