use procession::prelude::*;

#[process]
#[derive(Default)]
enum Relax {
    #[default]
    One,
}
spec! { Relax { input n: u8; } }
outline! { Relax {
    a;
} }
impl Relax {
    fn a(&mut self) {}
}
fn launch(runtime: &Runtime) {
    drop(runtime.launch(Relax::inputs().n(1)));
}

fn main() {}
