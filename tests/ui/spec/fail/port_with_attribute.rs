use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    #[serde(default)]
    input steps: u8;
}}

fn main() {}
