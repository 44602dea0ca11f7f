//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fault::Fault;

/// What a run is made of.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) count: usize,
    pub(crate) seed: u64,
    pub(crate) processes: u32,
}

impl Numbers {
    pub(crate) fn from_environment() -> Self {
        let number = |name: &str| {
            let value = std::env::var(format!("PROCESSION_FAULTS_{name}")).ok()?;
            Some(value.parse::<u32>().unwrap_or_else(|_| panic!("PROCESSION_FAULTS_{name} is no number: {value}")))
        };
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.subsec_nanos());
        Self {
            count: number("COUNT").unwrap_or(12) as usize,
            seed: number("SEED").unwrap_or_else(now).into(),
            processes: number("PROCESSES").unwrap_or(200),
        }
    }
}

/// How long it took to resume, by kind of fault.
#[derive(Debug, Default)]
pub(crate) struct Report {
    resumed: BTreeMap<Fault, Vec<Duration>>,
}

impl Report {
    /// A fault is over; its line is printed at once, since a later one may fail.
    pub(crate) fn add(&mut self, place: &str, fault: Fault, what: &str, flying: usize, resumed: Duration) {
        let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
        say(&format!("fault {place}: {fault}{what}, {flying} in flight, resumed after {}", seconds(resumed)));
        self.resumed.entry(fault).or_default().push(resumed);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28}{:>6}{:>10}{:>10}", "time to resume after", "faults", "median", "worst")?;
        let mut all = Vec::new();
        let line = |f: &mut fmt::Formatter<'_>, name: &str, mut times: Vec<Duration>| {
            times.sort_unstable();
            let Some((median, worst)) = times.get(times.len() / 2).zip(times.last()) else { return Ok(()) };
            writeln!(f, "{name:<28}{:>6}{:>10}{:>10}", times.len(), seconds(*median), seconds(*worst))
        };
        for (fault, times) in &self.resumed {
            all.extend_from_slice(times);
            line(f, &fault.to_string(), times.clone())?;
        }
        line(f, "all", all)
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// Prints also where the test passes: the figures are wanted then.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
