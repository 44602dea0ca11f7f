//! The end of a runtime: no step begins, those that run come to their end, and what runs none is handed over meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use super::sharing::Sharing;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Store, StoreErrorKind};

/// When it is over, nothing runs. Steps that have not ended within the limit are cut off.
pub(super) async fn drain(shared: &Arc<Shared>, limit: Duration) {
    shared.close();
    if tokio::time::timeout(limit, steps_end(shared)).await.is_err() {
        tracing::warn!("steps are cut off by the shutdown");
        shared.abort();
        shared.drained().await;
    }
    shared.forget_all();
}

/// Waits until no step runs. Where others can go on with processes, they need not wait for that.
async fn steps_end(shared: &Arc<Shared>) {
    let mut drained = pin!(shared.drained());
    let (Some(store), Some(sharing)) = (shared.store(), &shared.sharing) else { return drained.await };
    let mut left = Vec::new();
    loop {
        let resting = async {
            hand_over(shared, store, sharing, &mut left).await;
            tokio::select! {
                () = sharing.rested() => {}
                () = tokio::time::sleep(limits::CLAIM_POLL), if !left.is_empty() => {}
            }
        };
        tokio::select! {
            biased;
            // What is left is freed with the store.
            () = &mut drained => return,
            () = resting => {}
        }
    }
}

/// Hands over what runs no step, and what is left from before. As the runtime closes, nothing of it is ever driven again, and no
/// other is claimed: where it is not known whether it was handed over, once more does no harm.
async fn hand_over(shared: &Arc<Shared>, store: &Arc<dyn Store>, sharing: &Sharing, left: &mut Vec<ProcessId>) {
    left.extend(sharing.poison.take_all());
    for entry in shared.entries() {
        if !entry.lock().driven {
            shared.take_out(&entry);
            entry.close();
            left.push(entry.pid().clone());
        }
    }
    while !left.is_empty() {
        let some = left[..left.len().min(limits::SCAN_PAGE)].to_vec();
        let count = some.len();
        match store.hand_over(shared.env.epoch(), some).await {
            Ok(()) => {
                sharing.tally.handed_over(count);
                left.drain(..count);
            }
            Err(error) if error.kind() == StoreErrorKind::Stale => {
                tracing::debug!("what this worker had is others' already");
                return left.clear();
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "processes are handed over later");
                return;
            }
        }
    }
}
