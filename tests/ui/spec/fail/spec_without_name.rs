use procession::spec;

spec! { { input steps: u32; } }

fn main() {}
