//! Named copies of processes.

use serde::{Deserialize, Serialize};

use super::{Record, StoreError, StoreErrorKind, StoreResult};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState};

/// A snapshot as it is listed: a process as it was, under a tag (S99).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The process.
    pub pid: ProcessId,
    /// The name of the snapshot; a process has one of each name.
    pub tag: String,
    /// When it was taken.
    pub at: Timestamp,
    /// The state that the process had.
    pub state: ProcessState,
    /// The steps that it had committed.
    pub steps: u64,
}

/// Refuses a tag that is too long.
pub(super) fn check_tag(pid: &ProcessId, tag: &str) -> StoreResult<()> {
    if tag.len() <= limits::TAG_BYTES {
        return Ok(());
    }
    let fault = format!("its tag has {} bytes; {} are allowed (see `limits::TAG_BYTES`)", tag.len(), limits::TAG_BYTES);
    Err(beyond(pid, fault))
}

/// Refuses a snapshot beside as many others as a process may have.
pub(super) fn check_number(pid: &ProcessId, others: usize) -> StoreResult<()> {
    if others < limits::SNAPSHOTS {
        return Ok(());
    }
    let fault = format!("it has {others} snapshots; no more are allowed (see `limits::SNAPSHOTS`)");
    Err(beyond(pid, fault))
}

fn beyond(pid: &ProcessId, fault: String) -> StoreError {
    let subject = format_args!("a snapshot of process `{pid}`");
    StoreError::new(StoreErrorKind::Limit, "save", subject).with_source(fault)
}

/// A process as its snapshot keeps it: what was put aside is the process, not the copy.
pub(super) fn copy(record: &Record) -> Record {
    Record { parked: None, ..record.clone() }
}

/// As it is listed.
pub(super) fn listed(record: &Record, tag: &str, at: Timestamp) -> Snapshot {
    Snapshot { pid: record.pid.clone(), tag: tag.to_owned(), at, state: record.state, steps: record.steps }
}
