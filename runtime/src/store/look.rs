//! What whoever watches processes is told of them: as of their last boundaries, and a little more.

use super::{Awaiting, Epoch, Record, StatusText, Store, StoreErrorKind, StoreResult};
use crate::clock::Timestamp;
use crate::limits;
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

/// A process as of its last boundary, without what it has in it, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The id.
    pub pid: ProcessId,
    /// Its registered name.
    pub process: String,
    /// The process's version when it was written.
    pub version: u32,
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
    /// The status text, and how far it has said that it is.
    pub status: StatusText,
    /// The program point, `{"at":"step",…}`.
    pub position: String,
    /// What it waits for.
    pub awaiting: Awaiting,
    /// How many of the awaited children have not ended.
    pub open_children: u64,
    /// Committed steps.
    pub steps: u64,
    /// How it ended: an [`Ended`](crate::process::Ended), without what it stopped with where that is longer than
    /// [`limits::SUMMARY_ENDED_BYTES`].
    pub ended: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its last boundary was.
    pub updated_at: Timestamp,
    /// The worker that has it, and whether that may still write; none where nobody has it, or the store has one owner.
    pub owner: Option<(Epoch, bool)>,
    /// How far the step that runs says it is, where its worker has told that.
    pub hint: Option<Progress>,
    /// Claims after a worker was lost, and failures to load it, since the last boundary. A store that has one owner counts none.
    pub attempts: u32,
}

/// How the end of one begins that ended normally, and all of it where it stopped with nothing. Statements have both, too.
const FINISHED: (&str, &str) = (r#"{"state":"finished""#, r#"{"state":"finished"}"#);

impl From<&Record> for Look {
    /// Of one that is nobody's.
    fn from(record: &Record) -> Self {
        let is_long = |ended: &str| ended.len() > limits::SUMMARY_ENDED_BYTES && ended.starts_with(FINISHED.0);
        let ended = record.ended.as_deref().map(|ended| if is_long(ended) { FINISHED.1 } else { ended });
        Self {
            pid: record.pid.clone(),
            process: record.envelope.process.clone(),
            version: record.envelope.version,
            key: record.key.clone(),
            parent: record.parent.clone(),
            state: record.state,
            paused: record.paused,
            parked: record.parked.clone(),
            status: record.status.clone(),
            position: record.position.clone(),
            awaiting: record.awaiting.clone(),
            open_children: record.open_children,
            steps: record.steps,
            ended: ended.map(str::to_owned),
            created_at: record.created_at,
            updated_at: record.updated_at,
            owner: None,
            hint: None,
            attempts: 0,
        }
    }
}

impl Look {
    /// With whose it is, and what its worker has told of the step that runs.
    pub(super) fn attended(self, owner: Option<(Epoch, bool)>, hint: Option<Progress>) -> Self {
        // Who has ended or was put aside is nobody's.
        let owner = owner.filter(|_| !self.state.is_terminal() && self.parked.is_none());
        let runs = self.state == ProcessState::Running && owner.is_none_or(|(_, alive)| alive);
        Self { hint: hint.filter(|_| runs), owner, ..self }
    }

    /// Which attempt it is to come from its last boundary to the next: 1, and one more for each time since then that it was
    /// claimed after its worker was lost, or that a worker could not load it. None where it has ended or was put aside.
    pub fn attempt(&self) -> Option<u64> {
        let is_tried = !self.state.is_terminal() && self.parked.is_none();
        is_tried.then_some(u64::from(self.attempts) + 1)
    }

    /// How far it says it is: now, or at its last boundary.
    pub fn progress(&self) -> Option<Progress> {
        self.hint.or(self.status.progress)
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
            Ok(Some(record)) => looks.processes.push(Look::from(&record)),
            Ok(None) => {}
            Err(error) if error.kind() == StoreErrorKind::Corrupt => looks.unreadable.push((pid, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(looks)
}
