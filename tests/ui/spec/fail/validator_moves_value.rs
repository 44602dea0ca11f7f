use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input name: String, check(|name: String| !name.is_empty(), "empty");
}}

fn main() {}
