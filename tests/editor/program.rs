//! A correct program, in which the checks make their mistakes.

use procession::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Structure {
    pub atoms: u32,
    pub volume: f64,
}

#[process]
#[derive(Debug, Default)]
pub struct Scf {}

spec! { Scf {
    input structure: Structure;
    input cutoff: f64 = 40.0;
    output energy: f64;
}}

outline! { Scf { solve => energy; } }

impl Scf {
    fn solve(&self, cx: &mut Cx<Self>) -> f64 {
        cx.inputs().cutoff
    }
}

#[process]
#[derive(Debug, Default)]
pub struct Relax {
    iteration: u32,
    scf: Child<Scf>,
}

spec! { Relax {
    /// The starting structure.
    input structure: Structure, check(|structure| structure.atoms > 0, "must have atoms");
    input steps: u32 = 10;
    input limits { hours: u32 = 24; check(|limits| limits.hours > 0, "must be positive"); }
    check(|inputs| inputs.steps < 1000, "too many steps");
    expose inputs of Scf as scf { exclude: structure };
    output relaxed: Structure;
    expose outputs of Scf as last;
    exit 410 NotConverged "no convergence within the limit of steps";
}}

outline! { Relax {
    prepare;
    while_(unconverged) {
        run_scf;
        if_(stalled) { return_(NotConverged) }
    }
    finish => relaxed, last from scf;
}}

impl Relax {
    fn prepare(&mut self) {
        self.iteration = 0;
    }

    /// Whether to go on.
    fn unconverged(&self, cx: &Cx<Self>) -> bool {
        self.iteration < cx.inputs().steps
    }

    async fn run_scf(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.iteration += 1;
        self.scf = cx.launch(Scf::inputs_from(&cx.inputs().scf).structure(cx.inputs().structure.clone()))?;
        Ok(())
    }

    fn stalled(&self) -> bool {
        self.iteration > 99
    }

    fn finish(&self, cx: &mut Cx<Self>) -> Structure {
        cx.inputs().structure.clone()
    }
}

#[process]
#[derive(Debug, Default)]
pub struct Greet {}

spec! { Greet {} }

steps! { Greet {
    start;
    greet(name: String);
}}

impl Greet {
    fn start(&self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.next().greet("world".to_owned())
    }

    fn greet(&self, _: &mut Cx<Self>, name: String) {
        drop(name);
    }
}

pub async fn launch(runtime: &Runtime) -> procession::Result<()> {
    let inputs = Relax::inputs().structure(Structure::default()).steps(3).scf(|scf| scf.cutoff(20.0));
    runtime.launch(inputs).await?;
    Ok(())
}

fn main() {}
