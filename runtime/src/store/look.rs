//! What whoever watches processes is told of them: as of their last boundaries, and a little more.

use super::{Epoch, Record, Store, StoreErrorKind, StoreResult};
use crate::process::{ProcessId, ProcessState, Progress};

/// How far a step that runs says it is: no part of any boundary, and no more than a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The process.
    pub pid: ProcessId,
    /// Its committed steps, without this one: after its boundary the hint means nothing.
    pub steps: u64,
    /// What it says.
    pub progress: Progress,
}

/// A process, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// As of its last boundary.
    pub record: Record,
    /// The worker that has it, and whether that may still write; none where nobody has it, or the store has one owner.
    pub owner: Option<(Epoch, bool)>,
    /// How far the step that runs says it is, where its worker has told that.
    pub hint: Option<Progress>,
}

impl Look {
    pub(super) fn new(record: Record, owner: Option<(Epoch, bool)>, hint: Option<Progress>) -> Self {
        // Who has ended or was put aside is nobody's.
        let owner = owner.filter(|_| !record.state.is_terminal() && record.parked.is_none());
        let runs = record.state == ProcessState::Running && owner.is_none_or(|(_, alive)| alive);
        Self { hint: hint.filter(|_| runs), record, owner }
    }

    /// How far it says it is: now, or at its last boundary.
    pub fn progress(&self) -> Option<Progress> {
        self.hint.or(self.record.status.progress)
    }

    /// Whether its worker is lost: it would run, and does not.
    pub fn is_lost(&self) -> bool {
        matches!(self.owner, Some((_, false)))
    }
}

/// Some processes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Looks {
    /// In no order; those that are not there are left out.
    pub processes: Vec<Look>,
    /// Those whose row cannot be read, and why.
    pub unreadable: Vec<(ProcessId, String)>,
}

/// One after the other, for a store that has one owner and knows no hints.
pub(super) async fn each<S: Store + ?Sized>(store: &S, processes: Vec<ProcessId>) -> StoreResult<Looks> {
    let mut looks = Looks::default();
    for pid in processes {
        match store.load(&pid).await {
            Ok(Some(record)) => looks.processes.push(Look::new(record, None, None)),
            Ok(None) => {}
            Err(error) if error.kind() == StoreErrorKind::Corrupt => looks.unreadable.push((pid, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(looks)
}
