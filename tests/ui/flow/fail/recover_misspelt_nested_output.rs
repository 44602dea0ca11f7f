use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output forces { x: f64; y: optional<f64>; } output notes: optional { text: String; } } }
outline! { Relax {
    fin => forces.z, notes.text;
} }
impl Relax {
    fn fin(&mut self) -> (f64, String) { (1.0, String::new()) }
}

fn main() {}
