//! Converges a quantity: launches several calculations at once, gathers and compares them, and goes on from there.
//!
//! ```text
//! cargo run --example convergence
//! ```

use procession::prelude::*;
use std::collections::BTreeMap;

/// The energy of a crystal as a basis set of this cutoff gives it.
#[process]
#[derive(Debug, Default)]
pub struct Energy {}

spec! { Energy {
    input cutoff: u32;
    /// What a complete basis set would give.
    input exact: f64 = -12.5;
    /// How fast the error falls with the cutoff.
    input decay: f64 = 8.0;
    output energy: f64;
    exit 310 TooCoarse "the basis set does not hold the core states";
}}

outline! { Energy {
    if_(too_coarse) { return_(TooCoarse) }
    compute => energy;
}}

impl Energy {
    fn too_coarse(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().cutoff < 15
    }

    async fn compute(&mut self, cx: &mut Cx<Self>) -> f64 {
        let inputs = cx.inputs();
        tokio::task::yield_now().await;
        inputs.exact + 40.0 * (-f64::from(inputs.cutoff) / inputs.decay).exp()
    }
}

/// Finds the smallest cutoff at which the energy does not change any more.
#[process]
#[derive(Debug, Default)]
pub struct Converge {
    /// The calculations of this round, with their cutoffs.
    running: Vec<(u32, Child<Energy>)>,
    /// What is known, by cutoff.
    energies: BTreeMap<u32, f64>,
    round: u32,
    converged: Option<u32>,
}

spec! { Converge {
    input start: u32 = 10;
    input step: u32 = 10, check(|step| *step > 0, "must be positive");
    /// How many calculations run at once.
    input width: u32 = 4, check(|width| (1..=100).contains(width), "must be from 1 to 100");
    /// The largest change that counts as none.
    input tolerance: f64 = 1e-3;
    input rounds: u32 = 5;
    expose inputs of Energy as energy { exclude: cutoff };

    output cutoff: u32;
    output energy: f64;
    /// The energies that were computed, by cutoff.
    output curve: dynamic<f64>;

    exit 401 NotConverged "no convergence within the rounds";
    exit 402 NoEnergies "no calculation of a round gave an energy";
}}

outline! { Converge {
    while_(unconverged) {
        if_(exhausted) { return_(NotConverged) }
        /// Launches calculations at once.
        fan_out;
        gather => curve;
    }
    finish => cutoff, energy;
}}

impl Converge {
    fn unconverged(&self) -> bool {
        self.converged.is_none()
    }

    fn exhausted(&self, cx: &Cx<Self>) -> bool {
        self.round >= cx.inputs().rounds
    }

    fn fan_out(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let (start, step, width) = (cx.inputs().start, cx.inputs().step, cx.inputs().width);
        for index in 0..width {
            let cutoff = start + step * (self.round * width + index);
            let child = cx.launch(Energy::inputs_from(&cx.inputs().energy).cutoff(cutoff))?;
            self.running.push((cutoff, child));
        }
        self.round += 1;
        cx.set_status(format!("round {}", self.round));
        Ok(())
    }

    /// Runs when all of them have ended.
    fn gather(&mut self, cx: &mut Cx<Self>) -> Result<BTreeMap<String, f64>, StepError> {
        let before = self.energies.len();
        for (cutoff, child) in self.running.drain(..) {
            match child.outcome()? {
                Outcome::Finished(outputs) => drop(self.energies.insert(cutoff, outputs.energy)),
                Outcome::Exited(exited) => cx.report(format!("cutoff {cutoff}: {}", exited.code())),
                other => return Err(format!("cutoff {cutoff}: {other:?}").into()),
            }
        }
        if self.energies.len() == before {
            return Err(ConvergeExit::NoEnergies.into());
        }
        let mut pairs = self.energies.iter().zip(self.energies.iter().skip(1));
        let steady = pairs.find(|((_, a), (_, b))| (*a - *b).abs() <= cx.inputs().tolerance);
        self.converged = steady.map(|((cutoff, _), _)| *cutoff);
        cx.report(match self.converged {
            Some(cutoff) => format!("round {}: converged at cutoff {cutoff}", self.round),
            None => format!("round {}: not converged yet", self.round),
        });
        Ok(self.energies.iter().map(|(cutoff, energy)| (cutoff.to_string(), *energy)).collect())
    }

    fn finish(&mut self) -> Result<(u32, f64), StepError> {
        let cutoff = self.converged.ok_or("the loop ends at convergence")?;
        Ok((cutoff, self.energies[&cutoff]))
    }
}

struct Print;

impl procession::listener::Listener for Print {
    fn on_report(&self, _: &ProcessId, line: &str) {
        println!("    {line}");
    }
}

#[tokio::main]
async fn main() -> procession::Result<()> {
    let runtime = Runtime::volatile().register::<Converge>().listener(Print).build().await?;
    for tolerance in [1e-2, 1e-4, 1e-12] {
        println!("to {tolerance}:");
        let inputs = Converge::inputs().tolerance(tolerance).rounds(4).energy(|energy| energy.decay(9.0));
        match runtime.launch(inputs).await?.outcome().await? {
            Outcome::Finished(outputs) => {
                println!("  cutoff {}: {:.6}, of {} energies", outputs.cutoff, outputs.energy, outputs.curve.len());
            }
            Outcome::Exited(exited) => println!("  {}", exited.code()),
            other => println!("  {other:?}"),
        }
    }
    runtime.shutdown().await
}
