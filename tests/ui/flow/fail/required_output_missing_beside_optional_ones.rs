use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output energy: f64; output notes: optional { text: String; dynamic<u8>; } output extras: dynamic<u8>; } }
outline! { Relax {
    fin => notes.text, extras;
} }
impl Relax {
    fn fin(&mut self) -> (String, std::collections::BTreeMap<String, u8>) {
        Default::default()
    }
}

fn main() {}
