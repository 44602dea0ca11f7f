use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input options { hours: u32; r#hours: u32; }
}}

fn main() {}
