use procession::prelude::*;

#[process]
fn relax() {}

fn main() { relax(); }
