use procession::prelude::*;

#[process]
enum Relax { A }

fn main() { let _ = Relax::A; }
