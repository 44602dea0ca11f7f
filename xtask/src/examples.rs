//! Runs the examples, as a reader of the README would.

use serde_json::Value;

use crate::Fault;
use crate::report::Report;
use crate::run::{Scratch, cargo, root, stream};

/// An example, its arguments, and what it must have printed.
struct Example {
    name: &'static str,
    arguments: &'static str,
    check: fn(&[String]) -> Result<(), Fault>,
}

const EXAMPLES: [Example; 6] = [
    Example { name: "quickstart", arguments: "", check: says_something },
    Example { name: "by_hand", arguments: "", check: says_something },
    Example { name: "restart", arguments: "", check: says_something },
    Example { name: "convergence", arguments: "", check: says_something },
    Example { name: "stages", arguments: "", check: says_something },
    Example {
        name: "ledger",
        arguments: "--store ledger.db --effects ledger.effects --processes 4 --steps 6 --children 2 --seed 1",
        check: twelve_finished,
    },
];

/// Runs each in a folder of its own, with the features that a reader has.
pub(crate) fn run(report: &mut Report) {
    for example in &EXAMPLES {
        report.check(format!("example {}", example.name), || example.run());
    }
}

impl Example {
    fn run(&self) -> Result<(), Fault> {
        let scratch = Scratch::new(self.name)?;
        let mut command = cargo("run --quiet");
        command.arg("--manifest-path").arg(root().join("Cargo.toml")).args(["--example", self.name, "--"]);
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

/// Four processes with two children each.
fn twelve_finished(lines: &[String]) -> Result<(), Fault> {
    let last = lines.last().map(String::as_str).unwrap_or_default();
    let told: Value = serde_json::from_str(last).map_err(|error| format!("the last line is no JSON: {error}"))?;
    let counts = ["finished", "excepted", "killed"].map(|count| told[count].as_u64());
    if counts == [Some(12), Some(0), Some(0)] { Ok(()) } else { Err(format!("not all have finished: {last}").into()) }
}
