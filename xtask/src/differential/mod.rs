//! The differential test: random outlines run in plumpy and here, and what they did is compared.

mod batch;
mod case;
mod compare;
mod coverage;
mod explain;
mod generate;
mod python;
mod random;
mod rust;
mod sabotage;
mod shrink;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Fault;
use crate::report::Counts;
use crate::run::root;
use batch::{Recorded, Workshop};
use case::Case;
use compare::{Applied, compare};
use coverage::Coverage;

/// Outlines of the test command, and the seed of both commands.
const TESTED: usize = 200;
const SEED: u64 = 1;
/// Outlines of the long run.
const COUNT: usize = 10_000;
/// Outlines that are compiled at once: enough to use both processors, few enough for their memory.
const BATCH: usize = 200;
/// Outlines of which a difference is printed in full.
const SHOWN: usize = 3;

/// What a run found.
#[derive(Default)]
struct Found {
    outlines: usize,
    unexplained: Vec<String>,
    /// What is wrong with the comparison itself.
    unsound: Vec<String>,
    took: Duration,
    applied: Applied,
    coverage: Coverage,
}

/// The part of the test command: one test per outline, and one that the comparison can fail.
pub(crate) fn test() -> Counts {
    match run("tested", SEED, 0, TESTED) {
        Ok(found) => {
            found.print();
            let passed = found.outlines - found.unexplained.len() + usize::from(found.unsound.is_empty());
            let faults = [found.unexplained, found.unsound].concat();
            Counts { passed, failed: faults.len(), faults, ..Counts::default() }
        }
        Err(fault) => Counts { failed: 1, faults: vec![fault.to_string()], ..Counts::default() },
    }
}

/// `cargo xtask differential`: many outlines, or one again.
pub(crate) fn differential(arguments: &[String]) -> Result<bool, Fault> {
    let (mut count, mut seed, mut first) = (COUNT, SEED, 0);
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let number = arguments.next().and_then(|value| value.parse::<u64>().ok());
        let number = number.ok_or_else(|| format!("{name} needs a number"))?;
        match name.as_str() {
            "--count" => count = usize::try_from(number)?,
            "--seed" => seed = number,
            "--first" => first = number,
            _ => return Err(format!("there is no option `{name}`; the options are --count, --seed, --first").into()),
        }
    }
    // A look at a few must not wait for a long run.
    let purpose = if count <= TESTED { "tested" } else { "many" };
    let found = run(purpose, seed, first, count)?;
    found.print();
    Ok(found.unexplained.is_empty() && found.unsound.is_empty())
}

fn run(purpose: &'static str, seed: u64, first: u64, count: usize) -> Result<Found, Fault> {
    let workshop = Workshop::open(purpose)?;
    let start = Instant::now();
    let mut found = Found::default();
    let (plumpy, ours) = sabotage::cases();
    let recorded = workshop.run(&plumpy, &ours)?;
    found.unsound = sabotage::unnoticed(|name| recorded.get(name).cloned().unwrap_or_default());
    let numbers: Vec<u64> = (first..).take(count).collect();
    for numbers in numbers.chunks(BATCH) {
        let cases: Vec<Case> = numbers.iter().map(|number| generate::case(seed, *number)).collect();
        let recorded = workshop.run(&cases, &cases)?;
        for case in &cases {
            found.take(&workshop, case, &recorded)?;
        }
        let (done, bad) = (found.outlines, found.unexplained.len());
        found.took = start.elapsed();
        println!("{done} of {count} outlines, {bad} unexplained, {:.0} s", found.took.as_secs_f64());
    }
    let table = std::fs::read_to_string(root().join("docs/parity.md"))?;
    found.unsound.extend(undeclared(&table, &found.applied));
    Ok(found)
}

/// Rules that explained a difference, though the trace table does not call them different.
fn undeclared(table: &str, applied: &Applied) -> Vec<String> {
    let declares = |number: &str| {
        let row = table.lines().find(|line| line.starts_with(&format!("| {number} ")));
        row.is_some_and(|row| row.contains("different:"))
    };
    let numbers = applied.keys().map(|rule| rule.split(':').next().unwrap_or_default());
    let undeclared = numbers.filter(|number| !declares(number));
    undeclared.map(|number| format!("docs/parity.md does not say that {number} is different")).collect()
}

impl Found {
    fn take(&mut self, workshop: &Workshop, case: &Case, recorded: &BTreeMap<String, Recorded>) -> Result<(), Fault> {
        self.outlines += 1;
        let recorded = recorded.get(&case.name).cloned().unwrap_or_default();
        self.coverage.add(case, &recorded);
        let differences = compare(&recorded, &mut self.applied);
        if differences.is_empty() {
            return Ok(());
        }
        let name = &case.name;
        println!(
            "\n== {name} of seed {} differs: cargo xtask differential --seed {0} --first {1} --count 1",
            case.seed,
            &name[1..]
        );
        println!("{}", differences.join("\n"));
        if self.unexplained.len() < SHOWN {
            shrink::show(workshop, case)?;
        }
        self.unexplained.push(format!("{name} of seed {}: {}", case.seed, differences[0]));
        Ok(())
    }

    fn print(&self) {
        println!("\n{}", self.coverage);
        println!("meant differences, and how often they explained one:");
        self.applied.iter().for_each(|(rule, times)| println!("{times:>8}  {rule}"));
        self.unsound.iter().for_each(|text| println!("UNSOUND: {text}"));
        let (outlines, bad, took) = (self.outlines, self.unexplained.len(), self.took.as_secs_f64());
        println!("\ndifferential: {outlines} outlines, {bad} unexplained, {took:.0} s");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_explains_only_what_the_trace_table_calls_different() {
        let table = "| S1 | `a` | different: why |\n| S10 | `a` | same |\n";
        let applied = |rule| Applied::from([(rule, 1)]);
        assert!(undeclared(table, &applied("S1: a")).is_empty());
        assert_eq!(undeclared(table, &applied("S10: a")).len(), 1);
        assert_eq!(undeclared(table, &applied("S11: a")).len(), 1);
    }
}
