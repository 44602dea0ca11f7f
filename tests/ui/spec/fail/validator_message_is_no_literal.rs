use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32;
    check(|inputs| inputs.steps > 1, concat!("too ", "small"));
}}

fn main() {}
