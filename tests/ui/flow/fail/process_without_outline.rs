use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {} }

fn main() {}
