use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;

fn main() {}
