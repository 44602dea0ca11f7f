//! Several workers on one store: who they are, and which process is whose.

use serde::{Deserialize, Serialize};

use super::{Epoch, NewProcess, Record, StoreError, StoreErrorKind, StoreResult};
use crate::clock::Timestamp;
use crate::process::ProcessId;

/// A worker, as it presents itself to the store that it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Where it runs.
    pub host: String,
    /// Its OS process.
    pub os_process: u32,
    /// The version of its program.
    pub version: String,
    /// The queues from which it claims; the empty name is the queue of those that name none.
    pub queues: Vec<String>,
    /// How many steps it runs at the same time.
    pub slots: u32,
}

/// A worker as a store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// Under which it writes, and by which it is known.
    pub epoch: Epoch,
    /// What it said of itself.
    pub worker: Worker,
    /// How many of its slots it used when it was heard from last.
    pub slots_used: u32,
    /// When it joined, by the store's clock.
    pub joined_at: Timestamp,
    /// When it was heard from last, by the store's clock.
    pub heard_at: Timestamp,
    /// How many processes that have not ended it owns.
    pub owned: u64,
    /// Whether its lease has not lapsed.
    pub alive: bool,
    /// Whether it was [asked to drain](super::Store::ask_to_drain).
    pub drains: bool,
}

/// What a worker is told when it has renewed its lease.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Renewed {
    /// Whether it was [asked to drain](super::Store::ask_to_drain).
    pub drain: bool,
}

impl Renewed {
    /// With whether it was asked to drain.
    pub fn new(drain: bool) -> Self {
        Self { drain }
    }
}

/// Where a new process belongs, on a store that workers share. The default is the creator's, in the queue without a name.
/// A child has the queue and the priority of its parent, whatever it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The queue from which it is claimed, also after its worker is lost.
    pub queue: String,
    /// Those of a greater one are claimed first.
    pub priority: i32,
    /// It belongs to nobody yet: whichever worker claims it has it.
    pub unowned: bool,
}

/// What a worker has claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The worker's from now on, in the order in which they are to run.
    pub records: Vec<Record>,
    /// Claimed too often without a boundary since: parked, with the reason.
    pub parked: Vec<(ProcessId, String)>,
    /// Those whose rows cannot be read, and why; they are the worker's, too.
    pub unreadable: Vec<(ProcessId, String)>,
    /// Which of these have had attempts since their last boundary, and how many.
    pub attempts: Vec<(ProcessId, u32)>,
    /// The one of these that may kill its worker, if there is one: no other such is given before its next boundary.
    pub suspect: Option<ProcessId>,
}

/// Whose a process is, and how it is claimed: what a row has of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Share {
    pub(super) queue: String,
    pub(super) priority: i32,
    /// The epoch of the worker that has it, whether or not its lease has lapsed.
    pub(super) owner: Option<Epoch>,
    /// Claims after a worker was lost, and failures to load it, since the last boundary.
    pub(super) attempts: u32,
    /// Those of them that were claims after a worker was lost.
    pub(super) losses: u32,
}

impl Share {
    pub(super) fn new(creator: Epoch, placement: &Placement) -> Self {
        Self {
            queue: placement.queue.clone(),
            priority: placement.priority,
            owner: (!placement.unowned).then_some(creator),
            attempts: 0,
            losses: 0,
        }
    }

    pub(super) fn placement(&self) -> Placement {
        Placement { queue: self.queue.clone(), priority: self.priority, unowned: false }
    }

    /// In the queue of its parent.
    pub(super) fn belong_with(&mut self, parent: &Self) {
        self.queue.clone_from(&parent.queue);
        self.priority = parent.priority;
    }

    /// Has a boundary, or an end, which nobody owns.
    pub(super) fn begin_anew(&mut self, owner: Option<Epoch>) {
        self.owner = owner;
        (self.attempts, self.losses) = (0, 0);
    }
}

/// Refuses a placement in a store that has one owner, and would not keep it.
pub(super) fn refuse_placement<'a>(
    operation: &'static str,
    processes: impl IntoIterator<Item = &'a NewProcess>,
) -> StoreResult<()> {
    match processes.into_iter().find(|process| process.placement != Placement::default()) {
        None => Ok(()),
        Some(NewProcess { pid, .. }) => {
            let subject = format_args!("process `{pid}`");
            Err(StoreError::new(StoreErrorKind::Unsupported, operation, subject).with_source("a placement"))
        }
    }
}
