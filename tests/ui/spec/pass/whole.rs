//! All of the grammar at once, as a library of strict habits would use it.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]

use procession::spec;
use std::collections::BTreeMap;
use std::time::Duration;

/// A structure.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Structure {
    /// Its cell.
    pub cell: [f64; 3],
}

/// One calculation.
#[derive(Debug, Default)]
pub struct Scf;
/// Many calculations.
#[derive(Debug, Default)]
pub struct Relax;

spec! { Scf {
    input structure: Structure;
    input cutoff: f64 = 40.0;
    input mixing: f64;
    input options { walltime: Duration; queue: String = "normal"; }
    output energy: f64;
    output forces: optional<Vec<f64>>;
}}
hand::process!(Scf);

fn not_too_many(steps: &u32) -> Result<(), String> {
    if *steps < 1000 { Ok(()) } else { Err(format!("{steps} are too many")) }
}

spec! {
/// Relaxes a structure.
Relax {
    /// The start.
    input structure: Structure;
    input steps: u32 = 10, check(|n| *n > 0, "must be positive"), check(not_too_many);
    input note: optional<String>;
    input title: String;
    input options { walltime: Duration; queue: String = "normal"; inner { a: u8; b: optional<u8> } check(|o| o.inner.a < 5, "a"); }
    input more: optional { depth: u8; label: String; }
    input extras: dynamic<u32>;
    expose inputs of Scf as scf { exclude: structure, options.walltime };
    expose inputs of Scf as second { include: cutoff; optional; help: "The second one." }
    check(|inputs| inputs.steps < 100 || inputs.options.inner.a < 2, "too much");
    output structure: Structure;
    output energies: dynamic<f64>;
    output report: optional<String>;
    output forces { x: f64; y: f64 }
    expose outputs of Scf as last;
    /// It did not converge.
    exit 410 NotConverged "no convergence within the step limit";
    exit 411 Stalled "stalled";
}}
hand::process!(Relax);

/// As a step does it.
pub fn inputs_of_child(inputs: &RelaxInputs) {
    hand::launch(
        Scf::inputs_from(&inputs.scf).structure(Structure { cell: [0.0; 3] }).options(|o| o.walltime(Duration::ZERO)),
    );
    let _: f64 = inputs.scf.cutoff;
    let _: &String = &inputs.scf.options.queue;
    let _: Option<f64> = inputs.second.as_ref().map(|second| second.cutoff);
    let _: &BTreeMap<String, u32> = &inputs.extras;
    let _: Option<u8> = inputs.more.as_ref().map(|more| more.depth);
}

fn main() {
    let inputs = Relax::inputs()
        .structure(Structure { cell: [1.0; 3] })
        .title("a title")
        .note("a note")
        .options(|options| options.queue("fast").inner(|inner| inner.a(1)))
        .options(|options| options.walltime(Duration::from_secs(1)))
        .more(|more| more.depth(1).label("x"))
        .extras("a", 1)
        .extras_from([("b", 2)])
        .extras_from(BTreeMap::from([(String::from("c"), 3)]))
        .scf(|scf| scf.mixing(0.5).cutoff(30.0))
        .steps(20);
    hand::launch(inputs);
    let exits = [RelaxExit::NotConverged, RelaxExit::Stalled];
    assert_ne!(exits[0], exits[1]);
}
