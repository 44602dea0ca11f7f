//! A process in a line, as wide as there is room for.

use std::time::Duration;

use procession_runtime::ProcessState;
use procession_runtime::clock::Timestamp;
use procession_runtime::picture::Run;
use procession_runtime::store::{StoreErrorKind, WorkerRow};
use serde_json::{Value, json};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::tree::{Attended, Node};
use crate::cli::config::Opened;
use crate::cli::fault::Fault;
use crate::cli::print::{clean, span, time};
use crate::cli::show::{at, attempt, attended, parsed, seen, standing, waits};

/// Columns of a status text that are worth to be shown.
const TEXT: usize = 8;

/// One thing that a line says.
struct Part {
    text: String,
    /// The least important ones give way first; name and state never do.
    rank: Rank,
}

/// How important it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Times,
    Since,
    Id,
    Amount,
    Round,
    Left,
    Waits,
    Attempt,
    Step,
    Percent,
    State,
    Name,
}

/// How a process stands, for a colour and a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Mark {
    Running,
    Lost,
    Waiting,
    Paused,
    Created,
    Failed,
    Exited,
    Killed,
    Done,
}

impl Mark {
    pub(in crate::cli) fn of(node: &Node) -> Self {
        let look = &node.look;
        match look.state {
            ProcessState::Finished if look.ended.as_deref().is_some_and(is_exit) => Self::Exited,
            ProcessState::Finished => Self::Done,
            ProcessState::Excepted => Self::Failed,
            ProcessState::Killed => Self::Killed,
            _ if look.parked.is_some() || matches!(node.attended, Attended::Lost(_)) => Self::Lost,
            _ if look.paused => Self::Paused,
            ProcessState::Waiting => Self::Waiting,
            ProcessState::Created => Self::Created,
            ProcessState::Running => Self::Running,
        }
    }

    pub(in crate::cli) fn sign(self) -> char {
        match self {
            Self::Running => '●',
            Self::Lost => '?',
            Self::Waiting => '…',
            Self::Paused => '‖',
            Self::Created => '·',
            Self::Failed => '✗',
            Self::Exited => '!',
            Self::Killed => '■',
            Self::Done => '✓',
        }
    }

    /// The number of its colour in an escape code, as in pictures.
    pub(in crate::cli) fn colour(self) -> &'static str {
        match self {
            Self::Running => "1;36",
            Self::Lost | Self::Killed => "35",
            Self::Waiting | Self::Paused | Self::Exited => "33",
            Self::Created => "2",
            Self::Failed => "31",
            Self::Done => "32",
        }
    }
}

fn is_exit(ended: &str) -> bool {
    use procession_runtime::process::Ended;
    matches!(serde_json::from_str(ended), Ok(Ended::Exited { .. }))
}

/// The text, or as much of it as is no wider than this, with an ellipsis.
pub(in crate::cli) fn shortened(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let (mut short, mut width) = (String::new(), 1);
    for c in text.chars() {
        width += c.width().unwrap_or(0);
        if width > most {
            break;
        }
        short.push(c);
    }
    short.truncate(short.trim_end().len());
    if most > 0 {
        short.push('…');
    }
    short
}

/// What is told of a process.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Telling {
    pub(in crate::cli) now: Timestamp,
    /// As wide at most; none is as wide as it gets.
    pub(in crate::cli) width: Option<usize>,
    /// With what changes by itself: since when, how long.
    pub(in crate::cli) times: bool,
}

/// A process in a line, without its place in the tree.
pub(in crate::cli) fn line(node: &Node, telling: Telling) -> String {
    let mut parts = parts(node, telling);
    let status = node.look.status.text.as_deref().map(clean).filter(|text| !text.is_empty());
    let width = |parts: &[Part]| parts.iter().map(|part| part.text.width()).sum::<usize>();
    let Some(most) = telling.width else {
        let status = status.map(|status| format!(" — {status}"));
        return parts.into_iter().map(|part| part.text).chain(status).collect();
    };
    // Some of the status text is worth more than ids, times and amounts.
    let wanted = status.as_ref().map_or(0, |status| 3 + status.width().min(TEXT));
    for (reserved, keep) in [(wanted, Rank::Left), (0, Rank::State)] {
        while width(&parts) + reserved > most {
            let least = parts.iter().enumerate().filter(|(_, part)| part.rank < keep).min_by_key(|(_, part)| part.rank);
            let Some(index) = least.map(|(index, _)| index) else { break };
            parts.remove(index);
        }
    }
    let room = most.saturating_sub(width(&parts));
    let mut line: String = parts.into_iter().map(|part| part.text).collect();
    if let Some(status) = status
        && room > 3 + status.width().min(TEXT) - 1
    {
        line.push_str(" — ");
        line.push_str(&shortened(&status, room - 3));
    }
    shortened(&line, most)
}

fn parts(node: &Node, Telling { now, times, .. }: Telling) -> Vec<Part> {
    let look = &node.look;
    let mut parts = Vec::new();
    let mut say = |rank, text: String| parts.push(Part { text, rank });
    say(Rank::Name, clean(&look.process));
    say(Rank::Id, format!(" {}", clean(&look.pid.to_string())));
    say(Rank::State, format!(": {}", clean(&state(node, now, times))));
    if node.has_ended() {
        if times {
            say(Rank::Times, format!(", took {}", span(look.updated_at.since(look.created_at))));
        }
        return parts;
    }
    if let Some(at) = at(look) {
        say(Rank::Step, format!(", {}{}", clean(&at), number(node)));
    }
    if let Some(round) = node.place.as_ref().and_then(|place| place.round) {
        say(Rank::Round, format!(", round {round}"));
    }
    if let Some(attempt) = attempt(look) {
        say(Rank::Attempt, format!(", {attempt}"));
    }
    if let Some(progress) = look.progress() {
        let total = progress.total.map(|total| format!(" of {total}")).unwrap_or_default();
        match progress.percent() {
            Some(percent) => {
                say(Rank::Percent, format!(", {percent} %"));
                if times {
                    say(Rank::Amount, format!(" ({}{total})", progress.done));
                }
            }
            None => say(Rank::Percent, format!(", {} done", progress.done)),
        }
        if let Some(left) = progress.left(now).filter(|_| times && !look.is_lost()) {
            say(Rank::Left, format!(", {} left", span(left)));
        }
    }
    if let Some(waits) = waits(look, times.then_some(now)) {
        say(Rank::Waits, format!(", waits for {}", clean(&waits)));
    }
    if times {
        let since = node.run.as_ref().and_then(Run::since).unwrap_or(look.updated_at);
        say(Rank::Since, format!(", for {}", span(now.since(since))));
        if let Some(run) = node.run.as_ref().filter(|_| look.steps > 0) {
            let (active, waited) = (run.active(now), run.waited(now));
            say(Rank::Times, format!(", active {}, waited {}", span(active), span(waited)));
        }
    }
    parts
}

/// ` 2/5`, where this binary knows the outline.
fn number(node: &Node) -> String {
    let place = node.place.as_ref();
    let number = place.and_then(|place| Some((place.number?, place.steps?)));
    number.map(|(number, steps)| format!(" {number}/{steps}")).unwrap_or_default()
}

/// The state in words. Of a worker that was not heard from nothing is running.
fn state(node: &Node, now: Timestamp, times: bool) -> String {
    let standing = standing(&node.look);
    let lost = |row: &Option<Box<WorkerRow>>| match row {
        Some(row) if times => format!("worker lost, last heard from {} ago", span(now.since(row.heard_at))),
        Some(row) => format!("worker lost, not heard from since {}", time(row.heard_at)),
        None => "worker lost".to_owned(),
    };
    let why = match &node.attended {
        Attended::Lost(row) => Some(lost(row)),
        Attended::Unclaimed => Some("no worker has it".to_owned()),
        Attended::By(_) | Attended::Unknown => None,
    };
    attended(standing, why.as_deref())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a program reads of a process: what `show` has, and how far it is. What it has in it is read now, and given to nobody else,
/// so that no more than that of one process is in memory.
pub(in crate::cli) async fn object(opened: &Opened, node: &Node, now: Timestamp) -> Result<Value, Fault> {
    let record = match opened.store.load(&node.look.pid).await {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => None,
        record => record?,
    };
    let mut object = outside(node, now)?;
    // As at the time of the look, where it has ended since; null, where it is gone.
    let ended = record.as_ref().and_then(|record| record.ended.as_deref()).filter(|_| node.has_ended());
    if let Some(ended) = ended {
        object["ended"] = parsed(ended)?;
    }
    object["inputs"] = record.as_ref().map(|record| parsed(&record.inputs)).transpose()?.unwrap_or_default();
    object["outputs"] = record.as_ref().map(|record| parsed(&record.outputs)).transpose()?.unwrap_or_default();
    Ok(object)
}

/// The same without what it has in it.
fn outside(node: &Node, now: Timestamp) -> Result<Value, Fault> {
    let look = &node.look;
    let mut object = seen(look)?;
    let place = node.place.as_ref();
    object["attempt"] = json!(look.attempt());
    object["depth"] = json!(node.depth);
    object["step_number"] = json!(place.and_then(|place| place.number));
    object["outline_steps"] = json!(place.and_then(|place| place.steps));
    object["round"] = json!(place.and_then(|place| place.round));
    let children = look.awaiting.children.len() as u64;
    let ended = children.saturating_sub(look.open_children);
    object["children"] = if children == 0 { Value::Null } else { json!({"all": children, "ended": ended}) };
    object["progress"] = json!(look.progress().map(|progress| {
        json!({
            "done": progress.done, "total": progress.total, "percent": progress.percent(),
            "left_ms": progress.left(now).filter(|_| !node.has_ended()).map(millis), "at": time(progress.at),
        })
    }));
    let owner = |alive: bool, row: &Option<Box<WorkerRow>>| {
        let row = row.as_deref();
        json!({
            "epoch": look.owner.map(|(epoch, _)| epoch.0), "alive": alive,
            "host": row.map(|row| &row.worker.host), "pid": row.map(|row| row.worker.os_process),
            "heard_at": row.map(|row| time(row.heard_at)),
        })
    };
    object["owner"] = match &node.attended {
        Attended::By(row) => owner(true, row),
        Attended::Lost(row) => owner(false, row),
        Attended::Unknown | Attended::Unclaimed => Value::Null,
    };
    object["active_ms"] = json!(node.run.as_ref().map(|run| millis(run.active(now))));
    object["waited_ms"] = json!(node.run.as_ref().map(|run| millis(run.waited(now))));
    Ok(object)
}
