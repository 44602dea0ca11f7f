//! The end of a runtime: no step begins, those that run come to their end, and what runs none is handed over meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use super::sharing::Sharing;
use crate::limits;
use crate::store::Store;

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
    loop {
        let resting = async {
            hand_over(shared, store, sharing).await;
            sharing.rested().await;
        };
        tokio::select! {
            biased;
            // What is left is freed with the store.
            () = &mut drained => return,
            () = resting => {}
        }
    }
}

/// Hands over what runs no step. As the runtime closes, nothing of it is ever driven again.
async fn hand_over(shared: &Arc<Shared>, store: &Arc<dyn Store>, sharing: &Sharing) {
    let mut processes = sharing.poison.take_all();
    for entry in shared.entries() {
        if !entry.lock().driven {
            shared.take_out(&entry);
            entry.close();
            processes.push(entry.pid().clone());
        }
    }
    for some in processes.chunks(limits::SCAN_PAGE) {
        match store.hand_over(shared.env.epoch(), some.to_vec()).await {
            Ok(()) => sharing.tally.handed_over(some.len()),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "processes are handed over later");
                return;
            }
        }
    }
}
