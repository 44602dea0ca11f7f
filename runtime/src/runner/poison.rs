//! Processes that cannot go on in this worker: given to others, and parked in the end. And those that may kill it.
//!
//! A process that cannot be loaded here may be loaded where another version of the program runs. So it is given up, after a pause that
//! grows with its attempts: one worker alone does not use them up within a millisecond.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RunError;
use super::entry::Entry;
use super::shared::Shared;
use super::sharing::Sharing;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Epoch, Store, StoreErrorKind};

/// What this worker has and does not run: it cannot, or it is not sure to survive it.
#[derive(Default)]
pub(crate) struct Poison {
    failed: Mutex<Vec<Failed>>,
    suspect: Mutex<Option<ProcessId>>,
    /// Whether there is one: looked at in every boundary.
    suspects: AtomicBool,
}

/// A process that is given up when its pause is over.
struct Failed {
    pid: ProcessId,
    epoch: Epoch,
    reason: String,
    pause: Duration,
    due: Instant,
}

impl Poison {
    fn failed(&self) -> MutexGuard<'_, Vec<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn suspect(&self) -> MutexGuard<'_, Option<ProcessId>> {
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up a process that has had so many attempts, soon.
    pub(super) fn add(&self, epoch: Epoch, pid: ProcessId, reason: String, attempts: u32) {
        self.wait(Failed { pid, epoch, reason, pause: pause_after(attempts), due: Instant::now() });
    }

    fn wait(&self, failed: Failed) {
        let mut all = self.failed();
        // Where there are very many, they wait long enough for each other.
        let pause = if all.len() < limits::FAILED { failed.pause } else { Duration::ZERO };
        all.push(Failed { due: Instant::now() + pause, ..failed });
    }

    /// It goes on here.
    pub(super) fn forget(&self, pid: &ProcessId) {
        self.failed().retain(|failed| failed.pid != *pid);
    }

    fn take_due(&self) -> Vec<Failed> {
        let now = Instant::now();
        self.failed().extract_if(.., |failed| failed.due <= now).collect()
    }

    /// How long it takes until one is to be given up.
    pub(super) fn next(&self) -> Duration {
        let next = self.failed().iter().map(|failed| failed.due).min();
        next.map_or(limits::CLAIM_POLL, |due| due.saturating_duration_since(Instant::now()).min(limits::CLAIM_POLL))
    }

    /// All of them, for whoever leaves.
    pub(super) fn take_all(&self) -> Vec<ProcessId> {
        self.failed().drain(..).map(|failed| failed.pid).collect()
    }

    /// A suspect was claimed: the next one is, when this one has had a boundary.
    pub(super) fn watch(&self, pid: &ProcessId) {
        *self.suspect() = Some(pid.clone());
        self.suspects.store(true, Ordering::Release);
    }

    /// A process has had a boundary; whether it was the suspect.
    pub(super) fn survived(&self, pid: &ProcessId) -> bool {
        if !self.suspects.load(Ordering::Acquire) {
            return false;
        }
        let survived = self.suspect().take_if(|suspect| suspect == pid).is_some();
        if survived {
            self.suspects.store(false, Ordering::Release);
        }
        survived
    }
}

/// How long a process that has had so many attempts stays here before others have it.
pub(super) fn pause_after(attempts: u32) -> Duration {
    limits::LOAD_AGAIN.saturating_mul(1 << attempts.min(16)).min(limits::LOAD_AGAIN_MOST)
}

impl Sharing {
    /// A boundary of a process is stored.
    pub(super) fn bounded(&self, pid: &ProcessId) {
        if self.poison.survived(pid) {
            self.stir();
        }
    }
}

impl Shared {
    /// A process that cannot be loaded. Where nobody else could load it, it is put aside.
    pub(crate) async fn unloadable(&self, pid: &ProcessId, reason: String) -> Result<RunError, RunError> {
        match &self.sharing {
            Some(_) => Ok(RunError::Unloadable { pid: pid.clone(), reason }),
            None => self.park(pid, reason).await,
        }
    }

    /// Gives up a process whose trouble is its own, so that no other worker is to go on with it for ever; whether it is that.
    pub(super) fn give_up(&self, sharing: &Sharing, epoch: Epoch, entry: &Entry, error: &RunError) -> bool {
        let reason = match error {
            RunError::Unloadable { reason, .. } | RunError::Parked { reason, .. } => reason.clone(),
            RunError::Panicked { error, .. } => format!("its code panicked: {error}"),
            RunError::Store(failed) if matches!(failed.kind(), StoreErrorKind::Limit | StoreErrorKind::Corrupt) => {
                let source = std::error::Error::source(failed).map(|source| format!(": {source}")).unwrap_or_default();
                format!("{failed}{source}")
            }
            _ => return false,
        };
        self.pass_on(entry);
        sharing.tally.failed();
        sharing.poison.add(epoch, entry.pid().clone(), reason, 0);
        sharing.stir();
        true
    }
}

/// Gives up those whose pause is over; whether others may have them now.
pub(super) async fn give_up_due(shared: &Shared, store: &Arc<dyn Store>, sharing: &Sharing) -> bool {
    let mut left = false;
    for failed in sharing.poison.take_due() {
        let Failed { pid, epoch, reason, .. } = &failed;
        match store.fail(*epoch, pid, reason.clone(), sharing.attempts()).await {
            Ok(true) => {
                sharing.tally.parked(1);
                sharing.aside.parked(pid, reason);
                tracing::error!(%pid, reason, "process parked");
            }
            Ok(false) => {
                left = true;
                tracing::warn!(%pid, reason, "a process that cannot go on here is left to others");
            }
            Err(error)
                if matches!(error.kind(), StoreErrorKind::Stale | StoreErrorKind::NotFound | StoreErrorKind::Ended) =>
            {
                tracing::debug!(%pid, "a process that cannot go on here is another's already");
            }
            Err(error) => {
                shared.doubt(&error);
                tracing::warn!(%pid, error = &error as &dyn std::error::Error, "a process cannot be given up yet");
                sharing.poison.wait(failed);
            }
        }
    }
    left
}
