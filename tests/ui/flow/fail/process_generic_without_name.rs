use procession::prelude::*;
use procession::process::Saved;

#[process]
#[derive(Default)]
struct Scf<T: Saved + Default> { value: T }
spec! { <T: Saved + Default> Scf<T> {} }
outline! { <T: Saved + Default> Scf<T> { run } }
impl<T: Saved + Default> Scf<T> {
    fn run(&mut self) { self.value = T::default(); }
}

fn main() {}
