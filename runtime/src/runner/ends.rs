//! Looks in the store whether processes of other workers have ended for which something waits here.

use std::sync::Arc;
use std::time::Instant;

use super::RunError;
use super::aside;
use super::shared::Shared;
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{End, Ends, StoreError, StoreErrorKind};

/// Looks until the runtime closes: beside the claims, which do not wait for it where much is waited for.
pub(super) async fn run(shared: Arc<Shared>) {
    let Some(sharing) = &shared.sharing else { return };
    let mut looked = Instant::now();
    loop {
        if let Err(error) = look(&shared).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "it cannot be seen what has ended elsewhere");
        }
        if looked.elapsed() >= limits::WORK {
            looked = Instant::now();
            // A store may take long to say that it does not answer.
            tokio::select! {
                () = shared.closed() => break,
                seen = aside::look(&shared) => if let Err(error) = seen {
                    tracing::warn!(error = &error as &dyn std::error::Error, "it cannot be seen what is parked elsewhere");
                },
            }
        }
        tokio::select! {
            () = shared.closed() => break,
            () = sharing.news.notified() => {}
            () = tokio::time::sleep(limits::CLAIM_POLL) => {}
        }
    }
    // Who waits would wait for ever.
    for pid in shared.watched() {
        if shared.entry(&pid).is_none() {
            shared.fill_watchers(&pid, &Err(RunError::Closed));
        }
    }
}

async fn look(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(store) = shared.store() else { return Ok(()) };
    let mut elsewhere = shared.watched();
    elsewhere.retain(|pid| shared.entry(pid).is_none());
    for some in elsewhere.chunks(limits::ENDS) {
        let Ends { ended, unreadable } = store.ends(some.to_vec()).await?;
        for end in ended {
            tell(shared, end);
        }
        if !unreadable.is_empty() {
            tell_unreadable(shared, unreadable);
        }
    }
    Ok(())
}

/// An end that cannot be read is the trouble of those who wait for it: they are told, and nobody asks again.
fn tell_unreadable(shared: &Arc<Shared>, unreadable: Vec<(ProcessId, String)>) {
    for (pid, reason) in unreadable {
        tracing::warn!(%pid, reason, "the end of a process elsewhere cannot be read");
        let error = StoreError::new(StoreErrorKind::Corrupt, "read the end of", format_args!("process `{pid}`"));
        shared.fill_watchers(&pid, &Err(error.with_source(reason).into()));
    }
    // Whose children they are is in the rows: any that waits may have been told.
    for entry in shared.entries() {
        let waits = entry.lock().view.state == ProcessState::Waiting;
        if waits {
            shared.wake_if_ready(&entry);
        }
    }
}

fn tell(shared: &Arc<Shared>, End { pid, parent, termination }: End) {
    shared.fill_watchers(&pid, &Ok(termination));
    if let Some(parent) = parent.and_then(|parent| shared.entry(&parent)) {
        shared.wake_if_ready(&parent);
    }
}
