//! The figures of a run.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::account::Balance;

/// A number that the command was given.
pub(crate) fn number(name: &str) -> Option<u64> {
    let value = std::env::var(format!("PROCESSION_CHAOS_{name}")).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("PROCESSION_CHAOS_{name} is no number: {value}")))
}

/// The seed that the command was given, or one of chance.
pub(crate) fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()));
    number("SEED").unwrap_or_else(now)
}

/// How long it took until something of what a lost worker had went on.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
        self.0.sort_unstable();
    }

    pub(crate) fn median(&self) -> Duration {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn worst(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, worst) = (self.median().as_secs_f64(), self.worst().as_secs_f64());
        write!(f, "{} times, median {median:.2} s, worst {worst:.2} s", self.0.len())
    }
}

/// What a run came to, for the command that adds up.
pub(crate) fn keep(kills: u64, faults: u64, refused: u64, (calm, disturbed): (&Times, &Times), balance: &Balance) {
    let Some(file) = std::env::var_os("PROCESSION_CHAOS_RESULT") else { return };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let result = serde_json::json!({
        "kills": kills,
        "other_faults": faults,
        "processes": balance.processes,
        "steps": balance.steps,
        "lost": balance.lost.len() + balance.untold.len(),
        "finished_twice": balance.doubled.len(),
        "wrong": balance.wrong.len() + balance.rerun.len(),
        "stale_writes_refused": refused,
        "worst_taken_over_ms": milliseconds(calm.worst()),
        "greatest_median_taken_over_ms": milliseconds(calm.median()),
        "worst_taken_over_amid_faults_ms": milliseconds(disturbed.worst()),
    });
    std::fs::write(file, result.to_string()).expect("room for a file");
}

/// Prints also where the test passes: the figures are wanted then.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
