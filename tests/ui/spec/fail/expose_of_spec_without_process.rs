use procession::spec;

#[derive(Default)]
struct Relax;

#[derive(Default)]
struct Scf;

spec! { Scf { input a: u8; } }

spec! { Relax { expose inputs of Scf as scf; } }

fn main() {}
