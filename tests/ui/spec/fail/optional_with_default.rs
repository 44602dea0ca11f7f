use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input steps: optional<u32> = 10; } }

fn main() {}
