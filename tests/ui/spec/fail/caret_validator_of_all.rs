use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input hours: u32;
    check(|inputs| inputs.hour > 0, "b");
}}

fn main() {}
