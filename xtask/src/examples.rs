//! Runs the examples, as a reader of the README would.

use serde_json::Value;

use crate::Fault;
use crate::report::Report;
use crate::run::{Scratch, cargo, root, stream};

/// An example, its arguments, and what it must have printed.
struct Example {
    name: &'static str,
    /// Beside those that a reader has.
    features: &'static str,
    arguments: &'static str,
    check: fn(&[String]) -> Result<(), Fault>,
}

const EXAMPLES: [Example; 9] = [
    Example { name: "quickstart", features: "", arguments: "", check: says_something },
    Example { name: "by_hand", features: "", arguments: "", check: says_something },
    Example { name: "restart", features: "", arguments: "", check: says_something },
    Example { name: "convergence", features: "", arguments: "", check: says_something },
    Example { name: "stages", features: "", arguments: "", check: says_something },
    Example {
        name: "ledger",
        features: "",
        arguments: "--store ledger.db --effects ledger.effects --processes 4 --steps 6 --children 2 --seed 1",
        check: twelve_finished,
    },
    Example { name: "pipeline", features: "", arguments: "--backend sqlite --kills 4", check: each_once },
    Example { name: "pipeline", features: "", arguments: "--backend memory --kills 0", check: each_once },
    Example { name: "mesh", features: "mesh", arguments: "", check: others_go_on },
];

/// Runs each in a folder of its own, with the features that its first lines name.
pub(crate) fn run(report: &mut Report) {
    for example in &EXAMPLES {
        report.check(format!("example {}", example.name), || example.run());
    }
}

impl Example {
    fn run(&self) -> Result<(), Fault> {
        let scratch = Scratch::new(self.name)?;
        let mut command = cargo("run --quiet");
        command.arg("--manifest-path").arg(root().join("Cargo.toml"));
        command.args(["--example", self.name, "--features", self.features, "--"]);
        command.args(self.arguments.split_whitespace()).current_dir(scratch.path());
        let mut lines = Vec::new();
        if !stream(&mut command, |line| lines.push(line.to_owned()))? {
            return Err("it failed".into());
        }
        (self.check)(&lines)
    }
}

fn says_something(lines: &[String]) -> Result<(), Fault> {
    if lines.iter().any(|line| !line.is_empty()) { Ok(()) } else { Err("it prints nothing".into()) }
}

/// The records of a file, however often it was killed.
fn each_once(lines: &[String]) -> Result<(), Fault> {
    let last = lines.last().map(String::as_str).unwrap_or_default();
    if last.contains("each record once, in order") { Ok(()) } else { Err(format!("the last line is `{last}`").into()) }
}

/// After one of three OS processes was killed.
fn others_go_on(lines: &[String]) -> Result<(), Fault> {
    let expected = ["worker:0:0` was lost", "worker:0:0 is lost", "worker:1:0 goes on", "all have ended"];
    let missing = expected.iter().find(|text| !lines.iter().any(|line| line.contains(**text)));
    missing.map_or(Ok(()), |text| Err(format!("nobody says `{text}`").into()))
}

/// Four processes with two children each.
fn twelve_finished(lines: &[String]) -> Result<(), Fault> {
    let last = lines.last().map(String::as_str).unwrap_or_default();
    let told: Value = serde_json::from_str(last).map_err(|error| format!("the last line is no JSON: {error}"))?;
    let counts = ["finished", "excepted", "killed"].map(|count| told[count].as_u64());
    if counts == [Some(12), Some(0), Some(0)] { Ok(()) } else { Err(format!("not all have finished: {last}").into()) }
}
