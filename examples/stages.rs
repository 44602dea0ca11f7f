//! A pipeline of stages with exposed inputs and outputs: relaxes a chain of atoms, then computes its vibrations.
//!
//! ```text
//! cargo run --example stages
//! ```
//!
//! The pipeline exposes what its stages take and give; an input leaves the first stage out.

use procession::prelude::*;

/// Moves the inner atoms of a chain until no force is left.
#[process]
#[derive(Debug, Default)]
pub struct Relax {
    positions: Vec<f64>,
    force: Option<f64>,
    cycle: u32,
}

spec! { Relax {
    /// The positions of the atoms.
    input chain: Vec<f64>, check(|chain| chain.len() >= 3, "needs three atoms");
    input cycles: u32 = 200;
    /// The largest force that counts as none.
    input tolerance: f64 = 1e-6;
    output chain: Vec<f64>;
    output cycles: u32;
    exit 310 NotRelaxed "there are forces left after all cycles";
}}

outline! { Relax {
    setup;
    while_(strained) {
        if_(exhausted) { return_(NotRelaxed) }
        relax;
    }
    finish => chain, cycles;
}}

impl Relax {
    fn setup(&mut self, cx: &mut Cx<Self>) {
        self.positions.clone_from(&cx.inputs().chain);
    }

    fn strained(&self, cx: &Cx<Self>) -> bool {
        self.force.is_none_or(|force| force > cx.inputs().tolerance)
    }

    fn exhausted(&self, cx: &Cx<Self>) -> bool {
        self.cycle >= cx.inputs().cycles
    }

    /// Ten cycles a step: a step is what is saved.
    fn relax(&mut self) {
        for _ in 0..10 {
            let mut largest = 0.0_f64;
            for atom in 1..self.positions.len() - 1 {
                let middle = f64::midpoint(self.positions[atom - 1], self.positions[atom + 1]);
                let force = middle - self.positions[atom];
                self.positions[atom] += force;
                largest = largest.max(force.abs());
            }
            (self.force, self.cycle) = (Some(largest), self.cycle + 1);
        }
    }

    fn finish(&mut self) -> (Vec<f64>, u32) {
        (self.positions.clone(), self.cycle)
    }
}

/// The frequencies of a chain.
#[process]
#[derive(Debug, Default)]
pub struct Vibrate {}

spec! { Vibrate {
    input chain: Vec<f64>;
    input stiffness: f64 = 1.0;
    /// How many wave vectors.
    input points: u32 = 4;
    output frequencies: Vec<f64>;
}}

outline! { Vibrate { vibrate => frequencies; } }

impl Vibrate {
    fn vibrate(&self, cx: &mut Cx<Self>) -> Vec<f64> {
        let inputs = cx.inputs();
        let spacing = |pair: &[f64]| pair[1] - pair[0];
        let shortest = inputs.chain.windows(2).map(spacing).fold(f64::INFINITY, f64::min);
        let phase = |point| std::f64::consts::FRAC_PI_2 * f64::from(point) / f64::from(inputs.points);
        (1..=inputs.points).map(|point| 2.0 * (inputs.stiffness / shortest).sqrt() * phase(point).sin()).collect()
    }
}

/// Relaxes, if that is wanted, then computes frequencies.
#[process]
#[derive(Debug, Default)]
pub struct Pipeline {
    relax: Child<Relax>,
    vibrate: Child<Vibrate>,
    chain: Vec<f64>,
}

spec! { Pipeline {
    input chain: Vec<f64>;
    /// Takes the chain as it is.
    input relaxed: bool = false;
    expose inputs of Relax as relax { exclude: chain };
    expose inputs of Vibrate as vibrate { exclude: chain };

    expose outputs of Relax as relax { optional };
    expose outputs of Vibrate as vibrate;

    exit 401 RelaxationFailed "the chain could not be relaxed";
}}

outline! { Pipeline {
    setup;
    if_(wants_relaxation) {
        relax;
        if_(relaxation_failed) { return_(RelaxationFailed) }
        take_relaxed => relax from relax;
    }
    vibrate;
    finish => vibrate from vibrate;
}}

impl Pipeline {
    fn setup(&mut self, cx: &mut Cx<Self>) {
        self.chain.clone_from(&cx.inputs().chain);
    }

    fn wants_relaxation(&self, cx: &Cx<Self>) -> bool {
        !cx.inputs().relaxed
    }

    fn relax(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.relax = cx.launch(Relax::inputs_from(&cx.inputs().relax).chain(self.chain.clone()))?;
        Ok(())
    }

    fn relaxation_failed(&self) -> bool {
        !self.relax.is_finished()
    }

    fn take_relaxed(&mut self) -> Result<(), StepError> {
        self.chain = self.relax.outputs()?.chain;
        Ok(())
    }

    fn vibrate(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.vibrate = cx.launch(Vibrate::inputs_from(&cx.inputs().vibrate).chain(self.chain.clone()))?;
        Ok(())
    }

    fn finish(&mut self) {}
}

#[tokio::main]
async fn main() -> procession::Result<()> {
    let runtime = Runtime::volatile().register::<Pipeline>().build().await?;
    let chain = || vec![0.0, 0.7, 2.4, 3.1, 4.0];
    let inputs = || Pipeline::inputs().chain(chain()).vibrate(|vibrate| vibrate.stiffness(2.0));
    for (what, inputs) in [
        ("relaxed first", inputs()),
        ("as it is", inputs().relaxed(true)),
        ("in too few cycles", inputs().relax(|relax| relax.cycles(10))),
    ] {
        match runtime.launch(inputs).await?.outcome().await? {
            Outcome::Finished(outputs) => {
                let relaxed =
                    outputs.relax.map_or_else(|| "left out".to_owned(), |relax| format!("{} cycles", relax.cycles));
                println!("{what}: relaxation {relaxed}; frequencies {:.3?}", outputs.vibrate.frequencies);
            }
            Outcome::Exited(exited) => println!("{what}: {}", exited.code()),
            other => println!("{what}: {other:?}"),
        }
    }
    runtime.shutdown().await
}
