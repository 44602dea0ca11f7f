//! What was run, and the one line in the end that counts it.

use std::fmt;
use std::time::{Duration, Instant};

use crate::Fault;

/// All that was run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

/// One check, or all tests of one command.
struct Row {
    name: String,
    counts: Counts,
    took: Duration,
}

/// What passed, and what did not, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) faults: Vec<String>,
    /// What was not run, and why: only what may be missing on a machine.
    pub(crate) left_out: Vec<String>,
}

impl Report {
    /// Runs something that passes or fails as a whole.
    pub(crate) fn check(&mut self, name: impl Into<String>, check: impl FnOnce() -> Result<(), Fault>) {
        self.count(name, || match check() {
            Ok(()) => Counts { passed: 1, ..Counts::default() },
            Err(fault) => Counts { failed: 1, faults: vec![fault.to_string()], ..Counts::default() },
        });
    }

    /// Runs something that counts for itself.
    pub(crate) fn count(&mut self, name: impl Into<String>, run: impl FnOnce() -> Counts) {
        let name = name.into();
        println!("\n== {name}");
        let start = Instant::now();
        let counts = run();
        self.rows.push(Row { name, counts, took: start.elapsed() });
    }

    /// Whether all passed, and there was something.
    pub(crate) fn is_good(&self) -> bool {
        self.passed() > 0 && self.failed() == 0
    }

    /// What failed, one line each: what keeps the two outputs of a command apart shows the last lines of either.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = self.rows.iter().filter(|row| row.counts.failed > 0);
        let faults = failed.flat_map(|row| row.counts.faults.iter().map(|fault| format!("{}: {fault}", row.name)));
        faults.collect()
    }

    fn left_out(&self) -> usize {
        self.rows.iter().map(|row| row.counts.left_out.len()).sum()
    }

    fn passed(&self) -> usize {
        self.rows.iter().map(|row| row.counts.passed).sum()
    }

    fn failed(&self) -> usize {
        self.rows.iter().map(|row| row.counts.failed).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n== summary")?;
        for Row { name, counts: Counts { passed, failed, faults, left_out }, took } in &self.rows {
            let verdict = if *failed == 0 { "ok" } else { "FAILED" };
            writeln!(f, "{verdict:>6} {:>6.1} s {passed:>5} passed {failed:>3} failed  {name}", took.as_secs_f64())?;
            faults.iter().try_for_each(|fault| writeln!(f, "{:>17} {fault}", "-"))?;
            left_out.iter().try_for_each(|test| writeln!(f, "{:>17} LEFT OUT {test}", "-"))?;
        }
        write!(f, "\n{} passed, {} failed", self.passed(), self.failed())?;
        match self.left_out() {
            0 => Ok(()),
            left_out => write!(f, ", {left_out} left out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_all() {
        let mut report = Report::default();
        assert!(!report.is_good(), "nothing is not good");
        report.check("a", || Ok(()));
        report.count("b", || Counts { passed: 40, ..Counts::default() });
        assert!(report.is_good());
        report.check("c", || Err("it does not".into()));
        assert!(!report.is_good());
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("41 passed, 1 failed"));
        assert!(text.contains("it does not"));
        assert_eq!(report.failures(), ["c: it does not"]);
        report.count("d", || Counts { left_out: vec!["e: not there".to_owned()], ..Counts::default() });
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("41 passed, 1 failed, 1 left out"));
        assert!(text.contains("LEFT OUT e: not there"));
    }
}
