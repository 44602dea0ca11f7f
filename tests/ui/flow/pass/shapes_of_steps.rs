//! Every form a step and a predicate may have.
#![deny(warnings, missing_docs, missing_debug_implementations)]

use procession::prelude::*;

/// A child.
#[process]
#[derive(Debug, Default)]
pub struct Scf;
spec! { Scf { output energy: f64; } }
outline! { Scf { run => energy } }
impl Scf {
    fn run(&self) -> f64 {
        0.0
    }
}

/// A parent.
#[process]
#[derive(Debug, Default)]
pub struct Relax {
    iteration: u32,
    scf: Child<Scf>,
    #[process(skip)]
    cache: Vec<u8>,
}

spec! { Relax {
    input limit: u32 = 3;
    output structure: String;
    output energy: f64;
    output options { depth: u8; }
    expose outputs of Scf as last;
    exit 410 NotConverged "no convergence";
}}

outline! { Relax {
    setup;
    while_(unconverged) {
        run_scf;
        if_(scf_failed) { recover } elif_(stalled) { return_(NotConverged); } else_ { accept; };
        while_(refused) { on_two_lines }
    }
    /// Takes long.
    blocking heavy;
    run_scf as "again";
    pair => structure, energy;
    both => options.depth, last from scf;
    finish => structure;
    unfinished;
}}

impl Relax {
    fn setup(&mut self) {}
    fn unconverged(&self, cx: &Cx<Self>) -> bool {
        self.iteration < cx.inputs().limit
    }
    async fn run_scf(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.iteration += 1;
        self.scf = cx.launch(Scf::inputs())?;
        Ok(())
    }
    fn scf_failed(&self) -> Result<bool, StepError> {
        Ok(self.cache.is_empty())
    }
    fn recover<'a>(&'a mut self, cx: &'a mut Cx<Self>) -> impl Future<Output = ()> + Send + 'a {
        cx.set_status("recovers");
        async { self.iteration = 0 }
    }
    fn stalled(&self, _cx: &Cx<Self>) -> Result<bool, std::num::ParseIntError> {
        "1".parse::<u8>().map(|one| one == 2)
    }
    async fn accept(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.exit(RelaxExit::NotConverged)
    }
    fn refused(&self) -> bool {
        self.iteration > 5
    }
    fn on_two_lines(&self) -> impl Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send {
        async { Ok(()) }
    }
    fn heavy(&mut self) -> Result<(), std::io::Error> {
        Ok(())
    }
    fn pair(&self) -> (String, f64) {
        (String::new(), 0.0)
    }
    async fn both(&mut self) -> Result<u8, String> {
        Ok(1)
    }
    async fn finish(&mut self, _cx: &mut Cx<Self>) -> Result<String, StepError> {
        Ok(String::new())
    }
    fn unfinished(&mut self) -> Option<RelaxExit> {
        None
    }
}

fn main() {
    assert_eq!(RelaxPoint::ALL.len(), 10);
    assert_eq!(RelaxPoint::from_name("again"), Some(RelaxPoint::Again));
}

/// Ends at once.
#[process]
#[derive(Debug, Default)]
pub struct Nothing;
spec! { Nothing { exit 400 Never "never"; } }
outline! { Nothing { if_(never) { return_(Never) } return_ } }
impl Nothing {
    fn never(&self) -> bool {
        false
    }
}
