use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32 = 10;
    input names: Vec<String> = vec![1, 2];
}}

fn main() {}
