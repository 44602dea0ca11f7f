use procession::spec;

fn positive(n: &u32) -> Result<(), String> { if *n > 0 { Ok(()) } else { Err("no".into()) } }

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32, check(positiv);
}}

fn main() { drop(positive(&1)); }
