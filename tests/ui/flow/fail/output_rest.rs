use procession::prelude::*;
use std::collections::BTreeMap;

#[process]
#[derive(Default)]
struct Scf;
spec! { Scf { output a { b: u32; dynamic<u8>; } } }
outline! { Scf { go => a.b, a.rest; } }
impl Scf {
    fn go(&mut self) -> (u32, BTreeMap<String, u8>) {
        (1, BTreeMap::new())
    }
}

fn main() {}
