use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    exit 410 First "a";
    exit 2147483648 Second "b";
}}

fn main() {}
