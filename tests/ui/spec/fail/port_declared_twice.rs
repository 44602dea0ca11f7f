use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32;
    input steps: u64;
    input options { a: u8; r#a: u8; }
    output structure: String;
    output structure { x: f64; }
}}

fn main() {}
