use procession::prelude::*;

#[process]
#[derive(Default)]
struct Scf {}

spec! { Scf { output energy: f64; } }
outline! { Scf { run => energy; } }

impl Scf {
    fn run(&mut self) -> f64 {
        1.0
    }
}

#[process]
#[derive(Default)]
struct Relax {
    scf: Child<Scf>,
}

spec! { Relax { expose outputs of Scf as last; output last.steps: u32; } }

outline! { Relax { launch; finish => last from scf; } }

impl Relax {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.scf = cx.launch(Scf::inputs())?;
        Ok(())
    }
    fn finish(&mut self) {}
}

fn main() {}
