//! Looks in the store whether processes of other workers have ended for which something waits here.

use std::sync::Arc;
use std::time::Instant;

use super::RunError;
use super::aside;
use super::shared::Shared;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Store, StoreErrorKind, StoreResult};

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
            if let Err(error) = aside::look(&shared).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "it cannot be seen what is parked elsewhere");
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
    let mut failed = Ok(());
    for pid in shared.watched() {
        if shared.entry(&pid).is_some() {
            continue;
        }
        match look_at(shared, &**store, &pid).await {
            Ok(()) => {}
            // Nor would it answer for the others.
            Err(error) if error.kind() == StoreErrorKind::Unreachable => return Err(error.into()),
            // The trouble of one is not that of the others.
            Err(error) => failed = Err(error.into()),
        }
    }
    failed
}

async fn look_at(shared: &Arc<Shared>, store: &dyn Store, pid: &ProcessId) -> StoreResult<()> {
    let Some(end) = store.termination(pid).await? else { return Ok(()) };
    // Found first: whoever is told is not looked for again.
    let parent = store.load(pid).await?.and_then(|record| record.parent);
    shared.fill_watchers(pid, &Ok(end));
    if let Some(parent) = parent.and_then(|parent| shared.entry(&parent)) {
        shared.wake_if_ready(&parent);
    }
    Ok(())
}
