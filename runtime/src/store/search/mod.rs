//! Which processes there are, by what they are: a [`Filter`], and pages of [summaries](Summary) of those that meet it.
//!
//! What a filter says is decided in one place for all stores, [`Filter::matches`]. A store brings the rows, one after the
//! other, in the order of creation or against it; one that has indexes reads those alone among which they must be
//! (`way.rs`), and each looks at so many at most.

mod display;
mod error;
mod filter;
mod grammar;
mod time;
mod token;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) mod way;

pub use error::{Caret, FilterError, FilterFault};
pub use filter::{Comparison, Condition, Filter, Scalar, TextIs};

use serde::Deserialize;

use super::{Record, StatusText, StoreError, StoreErrorKind, StoreResult};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{Ended, ProcessId, ProcessState};
use crate::text::cut;

/// A question for processes: [`Store::search`](super::Store::search).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// Which.
    pub filter: Filter,
    /// Whether those that were created first come first; otherwise they come last.
    pub oldest_first: bool,
    /// Where the page begins: after the [end](Summaries::next) of another one of the same search.
    pub after: Option<u64>,
    /// How many at most. A page has no more than [`limits::SUMMARIES`] in any case.
    pub most: usize,
}

impl Search {
    /// The first page of those that meet a filter, of so many at most, those that were created last first.
    pub fn new(filter: Filter, most: usize) -> Self {
        Self { filter, oldest_first: false, after: None, most }
    }

    pub(super) fn check(&self, subject: impl std::fmt::Display) -> StoreResult<()> {
        let refused = |fault: FilterFault| StoreError::new(StoreErrorKind::Limit, "search", subject).with_source(fault);
        self.filter.check().map_err(refused)
    }
}

/// What a list tells of a process: all but what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The id.
    pub pid: ProcessId,
    /// Its registered name.
    pub process: String,
    /// The key it was launched under.
    pub key: Option<String>,
    /// The process that launched it.
    pub parent: Option<ProcessId>,
    /// The state.
    pub state: ProcessState,
    /// Whether it is paused.
    pub paused: bool,
    /// Why it was put aside.
    pub parked: Option<String>,
    /// The status text.
    pub status: Option<String>,
    /// Committed steps.
    pub steps: u64,
    /// The exit code of one that has finished: 0 where it did so normally.
    pub exit_code: Option<i32>,
    /// The first line of the error of an excepted one, or of the text of the kill, of
    /// [so many](limits::SUMMARY_ERROR_BYTES) bytes at most. None where what is stored of the end is longer than
    /// [`limits::SUMMARY_ENDED_BYTES`].
    pub error: Option<String>,
    /// How many of the children that it waits for have not ended.
    pub open_children: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its last boundary was.
    pub updated_at: Timestamp,
}

impl Summary {
    /// What is told of a process.
    ///
    /// # Errors
    /// How it ended cannot be read.
    pub fn of(record: &Record) -> Result<Self, serde_json::Error> {
        let StatusText { text, .. } = &record.status;
        Ok(Self {
            pid: record.pid.clone(),
            process: record.envelope.process.clone(),
            key: record.key.clone(),
            parent: record.parent.clone(),
            state: record.state,
            paused: record.paused,
            parked: record.parked.clone(),
            status: text.clone(),
            steps: record.steps,
            exit_code: exit_code(record.state, record.ended.as_deref()),
            error: error_line(record.state, record.ended.as_deref())?,
            open_children: record.open_children,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }

    /// Whether it is excepted, or has finished with an exit code other than 0.
    pub fn is_failed(&self) -> bool {
        is_failed(self.state, self.exit_code)
    }
}

pub(super) fn is_failed(state: ProcessState, exit_code: Option<i32>) -> bool {
    state == ProcessState::Excepted || exit_code.is_some_and(|code| code != 0)
}

/// The exit code of a process that has finished, from what is stored of its end.
pub(super) fn exit_code(state: ProcessState, ended: Option<&str>) -> Option<i32> {
    #[derive(Deserialize)]
    struct End {
        exit: Option<Exit>,
    }
    #[derive(Deserialize)]
    struct Exit {
        number: i32,
    }
    let ended = ended.filter(|_| state == ProcessState::Finished)?;
    // An end that is damaged is told by whoever reads it.
    let end: End = serde_json::from_str(ended).ok()?;
    Some(end.exit.map_or(0, |exit| exit.number))
}

/// What a list tells of the error, or of the kill.
pub(super) fn error_line(state: ProcessState, ended: Option<&str>) -> Result<Option<String>, serde_json::Error> {
    let wanted = |ended: &&str| {
        matches!(state, ProcessState::Excepted | ProcessState::Killed) && ended.len() <= limits::SUMMARY_ENDED_BYTES
    };
    let Some(ended) = ended.filter(wanted) else { return Ok(None) };
    let text = match serde_json::from_str(ended)? {
        Ended::Excepted { error } => error.to_string(),
        Ended::Killed { text } => text,
        Ended::Finished { .. } | Ended::Exited { .. } => return Ok(None),
    };
    let line = text.lines().next().unwrap_or_default();
    let line = cut(line, limits::SUMMARY_ERROR_BYTES);
    Ok(Some(line.to_owned()).filter(|line| !line.is_empty()))
}

/// Some of the processes that were looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summaries {
    /// The processes.
    pub processes: Vec<Summary>,
    /// Those that were looked at and whose row cannot be read, and why.
    pub unreadable: Vec<(ProcessId, String)>,
    /// Where the next page starts; none if this was the last. Of a page that is not full, and even of an empty one, there
    /// may be a next one: [so many](limits::SEARCHED) processes were looked at.
    pub next: Option<u64>,
}

/// A page that is being filled.
#[derive(Debug)]
pub(super) struct Gathering<'s> {
    search: &'s Search,
    page: Summaries,
    /// The last one that was looked at.
    place: Option<u64>,
    looked_at: usize,
}

impl<'s> Gathering<'s> {
    pub(super) fn new(search: &'s Search) -> Self {
        Self { search, page: Summaries::default(), place: search.after, looked_at: 0 }
    }

    /// How many it may have.
    pub(super) fn most(&self) -> usize {
        self.search.most.clamp(1, limits::SUMMARIES)
    }

    /// Whether another one may be looked at.
    pub(super) fn goes_on(&self) -> bool {
        self.page.processes.len() + self.page.unreadable.len() < self.most() && self.looked_at < limits::SEARCHED
    }

    /// The last one that was looked at; none if the search begins.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn place(&self) -> Option<u64> {
        self.place
    }

    /// Goes on to one, which may be gone.
    pub(super) fn go_to(&mut self, place: u64) {
        self.place = Some(place);
        self.looked_at += 1;
    }

    /// Takes the one that was gone to, if it meets the filter.
    pub(super) fn take(&mut self, summary: Summary, inputs: &str) {
        match self.search.filter.matches(&summary, inputs) {
            Ok(true) => self.page.processes.push(summary),
            Ok(false) => {}
            Err(error) => self.damaged(summary.pid, error.to_string()),
        }
    }

    /// The same of one that is at hand as a whole.
    pub(super) fn take_record(&mut self, record: &Record) {
        match Summary::of(record) {
            Ok(summary) => self.take(summary, &record.inputs),
            Err(error) => self.damaged(record.pid.clone(), error.to_string()),
        }
    }

    /// Notes that the row of the one that was gone to cannot be read: it may or may not be one that is looked for.
    pub(super) fn damaged(&mut self, pid: ProcessId, why: String) {
        self.page.unreadable.push((pid, why));
    }

    /// The page, where there may be more.
    pub(super) fn more(self) -> Summaries {
        Summaries { next: self.place, ..self.page }
    }

    /// The last page.
    pub(super) fn last(self) -> Summaries {
        self.page
    }
}
