use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    run_scff;
} }
impl Relax {
    fn run_scf(&mut self) {}
}

fn main() {}
