//! What happened to a process: its transitions, and how long each state lasted.

use std::time::{Duration, SystemTime};

use procession_runtime::ProcessState;
use procession_runtime::clock::Timestamp;
use procession_runtime::store::{HistoryEntry, Look, Record};
use serde_json::{Value, json};

use super::config::Opened;
use super::each::Told;
use super::fault::Fault;
use super::print::{Printer, span, tabular, time};
use super::show;

/// A transition, and how long the state lasted that it left.
struct Event<'a> {
    entry: &'a HistoryEntry,
    lasted: Duration,
    /// How often the process was brought back to a checkpoint until then, and once more.
    attempt: u64,
}

impl Event<'_> {
    /// Whether what passed was work, and not waiting for something.
    fn took(&self) -> Option<Duration> {
        (self.entry.from == ProcessState::Running).then_some(self.lasted)
    }

    fn waited(&self) -> Option<Duration> {
        (self.entry.from != ProcessState::Running).then_some(self.lasted)
    }

    fn described(&self) -> Value {
        let Self { entry, lasted, attempt } = self;
        json!({
            "at": time(entry.at), "from": entry.from.as_str(), "to": entry.to.as_str(), "point": entry.point,
            "steps": entry.steps, "after_ms": millis(*lasted), "took_ms": self.took().map(millis),
            "waited_ms": self.waited().map(millis), "attempt": attempt,
        })
    }

    fn row(&self) -> Vec<String> {
        let Self { entry, attempt, .. } = self;
        let transition = format!("{} → {}", entry.from.as_str(), entry.to.as_str());
        let shown = |lasted: Option<Duration>| lasted.map(span).unwrap_or_default();
        let (took, waited) = (shown(self.took()), shown(self.waited()));
        vec![
            time(entry.at),
            transition,
            entry.point.clone(),
            attempt.to_string(),
            entry.steps.to_string(),
            took,
            waited,
        ]
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is known of a process since it was created, or since its history, which is bounded, goes back to.
fn all<'a>(record: &Record, history: &'a [HistoryEntry]) -> Vec<Event<'a>> {
    let (mut before, mut attempt) = (record.created_at, 1);
    let event = |entry: &'a HistoryEntry| {
        attempt += u64::from(entry.restored_from().is_some());
        let lasted = entry.at.since(before);
        before = entry.at;
        Event { entry, lasted, attempt }
    };
    history.iter().map(event).collect()
}

pub(super) async fn events(opened: &Opened, printer: Printer, record: &Record) -> Result<Told, Fault> {
    let history = opened.store.history(&record.pid).await?;
    let events = all(record, &history);
    if printer.json {
        return Ok(Told::Document(events.iter().map(Event::described).collect()));
    }
    let head = ["at", "transition", "point", "attempt", "steps", "took", "waited"];
    let words = tabular(&head, events.iter().map(Event::row));
    // What it is in now has not come to its end.
    if record.state.is_terminal() {
        return Ok(Told::Words(words));
    }
    let since = history.last().map_or(record.created_at, |entry| entry.at);
    let lasted = span(Timestamp::from(SystemTime::now()).since(since));
    let look = opened.store.look(vec![record.pid.clone()]).await?.processes.pop();
    let lost = look.as_ref().is_some_and(Look::is_lost);
    let paused = if record.paused { ", paused" } else { "" };
    // What nobody is known to run is not said to be running.
    let standing = show::attended(format!("{}{paused}", record.state), lost.then_some("worker lost"));
    let attempt = look.as_ref().and_then(show::attempt).map(|attempt| format!(", {attempt}")).unwrap_or_default();
    let comma = if lost { "," } else { "" };
    Ok(Told::Words(format!("{words}{standing}{comma} for {lasted}{attempt}\n")))
}
