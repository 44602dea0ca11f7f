//! How processes stand that have not ended: what whoever looks after them wants to know of all.

use super::{Epoch, Record};
use crate::clock::Timestamp;
use crate::process::{ProcessId, ProcessState};

/// A process that has not ended, without what it has in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The id.
    pub pid: ProcessId,
    /// Its registered name.
    pub process: String,
    /// The process that launched it.
    pub parent: Option<ProcessId>,
    /// The state.
    pub state: ProcessState,
    /// Whether it is paused.
    pub paused: bool,
    /// Why it was put aside.
    pub parked: Option<String>,
    /// The queue from which it is claimed.
    pub queue: String,
    /// Those of a greater one are claimed first.
    pub priority: i32,
    /// The worker that has it, and whether that may still write.
    pub owner: Option<(Epoch, bool)>,
    /// Claims after a worker was lost, and failures to load it, since the last boundary.
    pub attempts: u32,
    /// How many of the children that it waits for have not ended.
    pub open_children: u64,
    /// How many of these are parked, or are not there.
    pub vain_children: u64,
    /// The time that it waits for.
    pub wake_at: Option<Timestamp>,
    /// Whether it waits for a resume from outside.
    pub resume: bool,
    /// Whether it waits for an item of a stream.
    pub streams: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its last boundary was.
    pub updated_at: Timestamp,
}

impl Standing {
    /// Of a process that is nobody's, and that waits for so many children in vain.
    pub(super) fn new(record: &Record, vain_children: usize) -> Self {
        let awaiting = Some(&record.awaiting).filter(|_| record.state == ProcessState::Waiting);
        Self {
            pid: record.pid.clone(),
            process: record.envelope.process.clone(),
            parent: record.parent.clone(),
            state: record.state,
            paused: record.paused,
            parked: record.parked.clone(),
            queue: String::new(),
            priority: 0,
            owner: None,
            attempts: 0,
            open_children: record.open_children,
            vain_children: vain_children as u64,
            wake_at: awaiting.and_then(|awaiting| awaiting.wake_at),
            resume: awaiting.is_some_and(|awaiting| awaiting.resume.is_some()),
            streams: awaiting.is_some_and(|awaiting| !awaiting.streams.is_empty()),
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// Some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandingPage {
    /// The processes.
    pub standings: Vec<Standing>,
    /// Those whose row cannot be read, and why.
    pub unreadable: Vec<(ProcessId, String)>,
    /// Where the next page starts; none if this was the last.
    pub next: Option<u64>,
}
