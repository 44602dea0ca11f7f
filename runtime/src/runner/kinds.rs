//! One error of each kind, for a test of who says something of each: the command line tells what to do next.
//!
//! Each kind names the one after it, in a `match` without a rest: a new one does not compile without a place here.

use std::iter::successors;

use super::RunError;
use crate::process::{ErrorInfo, ProcessId, ProcessState};
use crate::registry::RegistryError;
use crate::spec::{Direction, Fault, SpecError};
use crate::store::{StoreError, StoreErrorKind};

const PROCESS: &str = "kinds::Relax";

/// One of each, about a process with this id.
pub fn run_errors(pid: &ProcessId) -> Vec<RunError> {
    let first = Some(RunError::Inputs(refused(Direction::Inputs)));
    successors(first, |error| after(error, pid)).collect()
}

/// All that there are.
pub fn store_error_kinds() -> Vec<StoreErrorKind> {
    successors(Some(StoreErrorKind::NotFound), |kind| after_kind(*kind)).collect()
}

fn refused(direction: Direction) -> SpecError {
    SpecError::of(direction, PROCESS, Fault::new("width", "must be positive"))
}

#[allow(clippy::too_many_lines, reason = "one arm for each kind")]
fn after(error: &RunError, pid: &ProcessId) -> Option<RunError> {
    let (pid, reason) = (pid.clone(), "why".to_owned());
    Some(match error {
        RunError::Inputs(_) => RunError::Outputs(refused(Direction::Outputs)),
        RunError::Outputs(_) => {
            RunError::Registry(RegistryError::Duplicate { name: PROCESS.to_owned(), first: "One", second: "Other" })
        }
        RunError::Registry(_) => RunError::UnknownProcess { name: PROCESS.to_owned(), near: None },
        RunError::UnknownProcess { .. } => RunError::NotFound(pid),
        RunError::NotFound(_) => RunError::KeyInUse { key: "key".to_owned(), pid, process: PROCESS.to_owned() },
        RunError::KeyInUse { .. } => {
            RunError::Store(StoreError::new(StoreErrorKind::Busy, "commit", format_args!("process `{pid}`")))
        }
        RunError::Store(_) => RunError::Parked { pid, reason },
        RunError::Parked { .. } => RunError::Unloadable { pid, reason },
        RunError::Unloadable { .. } => RunError::NoSnapshot { pid, tag: "tag".to_owned(), near: None },
        RunError::NoSnapshot { .. } => RunError::UnreadableSnapshot { pid, tag: "tag".to_owned(), reason },
        RunError::UnreadableSnapshot { .. } => RunError::Volatile { request: "save" },
        RunError::Volatile { .. } => RunError::Suspended(pid),
        RunError::Suspended(_) => RunError::Unanswered(pid),
        RunError::Unanswered(_) => RunError::UnreadableRequest { pid, message: reason },
        RunError::UnreadableRequest { .. } => RunError::Panicked { pid, error: Box::new(ErrorInfo::new(reason)) },
        RunError::Panicked { .. } => RunError::Busy(pid),
        RunError::Busy(_) => RunError::InvalidState { pid, state: ProcessState::Finished, request: "pause" },
        RunError::InvalidState { .. } => RunError::ResumeValue { pid, message: reason },
        RunError::ResumeValue { .. } => RunError::Closed,
        RunError::Closed => RunError::NoStore,
        RunError::NoStore => RunError::NoChannels { process: PROCESS },
        RunError::NoChannels { .. } => RunError::Unwritable { process: PROCESS, message: reason },
        RunError::Unwritable { .. } => RunError::Refused { process: PROCESS, error: Box::new(ErrorInfo::new(reason)) },
        RunError::Refused { .. } => RunError::UnknownListener { name: "Listener".to_owned(), near: None },
        RunError::UnknownListener { .. } => RunError::UnwritableListener { name: "Listener", message: reason },
        RunError::UnwritableListener { .. } => RunError::TooMany { pid, what: "listeners", most: 1 },
        RunError::TooMany { .. } => RunError::Thread(reason),
        RunError::Thread(_) => RunError::PanicAborts,
        RunError::PanicAborts => return None,
    })
}

fn after_kind(kind: StoreErrorKind) -> Option<StoreErrorKind> {
    use StoreErrorKind as Kind;
    Some(match kind {
        Kind::NotFound => Kind::Stale,
        Kind::Stale => Kind::Ended,
        Kind::Ended => Kind::Unfinished,
        Kind::Unfinished => Kind::NoSnapshot,
        Kind::NoSnapshot => Kind::Limit,
        Kind::Limit => Kind::InUse,
        Kind::InUse => Kind::Full,
        Kind::Full => Kind::ReadOnly,
        Kind::ReadOnly => Kind::Corrupt,
        Kind::Corrupt => Kind::NewerFormat,
        Kind::NewerFormat => Kind::Closed,
        Kind::Closed => Kind::Busy,
        Kind::Busy => Kind::Unsupported,
        Kind::Unsupported => Kind::Unreachable,
        Kind::Unreachable => Kind::Io,
        Kind::Io => Kind::Other,
        Kind::Other => return None,
    })
}
