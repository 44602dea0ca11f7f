use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input options {
        hours: u32;
        check(|options| options.hour > 0, "b");
    }
}}

fn main() {}
