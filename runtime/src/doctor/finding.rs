//! What a doctor finds, and what is to be done about it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::process::ProcessId;

/// What is the matter with a process. Of several, the first one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trouble {
    /// It was put aside.
    Parked,
    /// Its row cannot be read, or no process has its name in the program that looks.
    Unloadable,
    /// It waits for children that are parked, or are not there.
    WaitsInVain,
    /// The lease of the worker that has it has lapsed.
    LeaseExpired,
    /// It can go on, and no worker serves its queue.
    Orphaned,
    /// It can go on, some worker has it, and its last boundary was long ago.
    Stuck,
}

/// What is to be done next about a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Nothing: workers see to it.
    Wait,
    /// Start a worker that serves a queue.
    StartWorker {
        /// The queue; the empty name is that of those that name none.
        queue: String,
    },
    /// Start a worker whose program has a process of this name.
    Register {
        /// The name.
        process: String,
    },
    /// Let a parked process go on.
    Unpark {
        /// The process: the one with the trouble, or a child that it waits for.
        pid: ProcessId,
    },
    /// [Mend](crate::store::Store::mend) the store.
    Mend,
    /// Kill the process.
    Kill {
        /// The process.
        pid: ProcessId,
    },
    /// Go back to a snapshot of the process.
    Restore {
        /// The process.
        pid: ProcessId,
    },
}

impl Action {
    /// Whether a [repair](super::Doctor::repair) does it.
    pub fn is_safe(&self) -> bool {
        matches!(self, Self::Unpark { .. } | Self::Mend)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => f.write_str("wait: a worker goes on with it as soon as it has room"),
            Self::StartWorker { queue } if queue.is_empty() => f.write_str("start a worker"),
            Self::StartWorker { queue } => write!(f, "start a worker that serves the queue `{queue}`"),
            Self::Register { process } => write!(f, "start a worker whose program registers `{process}`"),
            Self::Unpark { pid } => write!(f, "unpark process {pid} when the reason is dealt with"),
            Self::Mend => f.write_str("mend the store, so that it waits no more"),
            Self::Kill { pid } => write!(f, "kill process {pid} if its step does not end by itself"),
            Self::Restore { pid } => write!(f, "go back to a snapshot of process {pid}, or mend its row by hand"),
        }
    }
}

/// A process with which something is the matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// The process.
    pub pid: ProcessId,
    /// Its registered name, where its row can be read.
    pub process: Option<String>,
    /// What is the matter.
    pub trouble: Trouble,
    /// The same in words.
    pub what: String,
    /// Since when: the last boundary, or when its worker was heard from last.
    pub since: Option<Timestamp>,
    /// What is to be done next.
    pub action: Action,
    /// The same in words.
    pub next: String,
}

/// What a doctor has found in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// When.
    pub at: Timestamp,
    /// How many processes have not ended.
    pub processes: u64,
    /// How many workers are alive, where several can share the store.
    pub workers: Option<u64>,
    /// How many processes have which trouble.
    pub counts: BTreeMap<Trouble, u64>,
    /// The first ones of each trouble, in the order of their creation.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether nothing is the matter.
    pub fn is_healthy(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many processes have this trouble.
    pub fn count(&self, trouble: Trouble) -> u64 {
        self.counts.get(&trouble).copied().unwrap_or_default()
    }
}

/// What a repair has done. One that finds nothing to do has done nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Repaired {
    /// How many parked processes can go on now.
    pub unparked: u64,
    /// The first ones of these.
    pub first: Vec<ProcessId>,
    /// How many children parents wait for no more, since they waited in vain.
    pub mended: u64,
}
