//! How processes have ended, asked of many at once.

use std::borrow::Borrow;

use super::{Record, StoreErrorKind, StoreResult};
use crate::process::{ProcessId, Termination};

/// How a process has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The process.
    pub pid: ProcessId,
    /// Whose child it is.
    pub parent: Option<ProcessId>,
    /// How it ended.
    pub termination: Termination,
}

/// How those of some processes have ended that have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ends {
    /// Those that have, in no order.
    pub ended: Vec<End>,
    /// Those whose row cannot be read, and why.
    pub unreadable: Vec<(ProcessId, String)>,
}

impl Ends {
    /// From what a store has of each.
    pub(super) fn of<R: Borrow<Record>>(
        processes: Vec<ProcessId>,
        mut record: impl FnMut(&ProcessId) -> StoreResult<Option<R>>,
    ) -> StoreResult<Self> {
        let mut ends = Self::default();
        for pid in processes {
            let record = match record(&pid) {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    ends.unreadable.push((pid, error.to_string()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let record = record.borrow();
            match record.termination() {
                Ok(Some(termination)) => ends.ended.push(End { pid, parent: record.parent.clone(), termination }),
                Ok(None) => {}
                Err(error) => ends.unreadable.push((pid, error.to_string())),
            }
        }
        Ok(ends)
    }
}
