use procession::spec;

#[derive(Default)]
struct Scf<T>(T);

spec! { Scf<T> { input value: u8; } }

fn main() {}
