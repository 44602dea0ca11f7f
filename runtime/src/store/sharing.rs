//! Several workers on one store: who they are, and which process is whose.

use serde::{Deserialize, Serialize};

use super::{Epoch, Record};
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
}

/// Where a new process belongs, on a store that workers share. The default is the creator's, in the queue without a name.
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
}
