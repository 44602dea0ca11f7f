use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { output energy: f64; } }
outline! { Relax {
    if_(quick) { guess => energi } else_ { compute => energy }
} }
impl Relax {
    fn quick(&self) -> bool { true }
    fn guess(&mut self) -> f64 { 1.0 }
    fn compute(&mut self) -> f64 { 1.0 }
}

fn main() {}
