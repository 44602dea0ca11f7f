use procession::prelude::*;

#[process]
#[derive(Default)]
struct Scf;
spec! { Scf { output n: optional<u8>; } }
outline! { Scf { run } }
impl Scf { fn run(&mut self) {} }
#[process]
#[derive(Default)]
struct Other;
spec! { Other { output n: optional<u8>; } }
outline! { Other { run } }
impl Other { fn run(&mut self) {} }
#[process]
#[derive(Default)]
struct Relax { other: Child<Other> }
spec! { Relax { expose outputs of Scf as last;  } }
outline! { Relax {
    a => last from other;
} }
impl Relax {
    fn a(&mut self) {}
}

fn main() {}
