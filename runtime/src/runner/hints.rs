//! Tells how far steps are while they run: in bulk, seldom, and only where something is new.

use std::sync::Arc;

use super::shared::Shared;
use crate::limits;

/// Writes what steps say of their progress until the runtime closes. Where no step says anything, it waits for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let Some(store) = shared.store() else { return };
    let told = async {
        loop {
            shared.env.board.news().await;
            // Steps that end before this are told of by their boundaries alone.
            tokio::time::sleep(limits::HINTS_EVERY).await;
            let epoch = shared.env.epoch();
            let Some(hints) = shared.env.board.hints(epoch) else { continue };
            if let Err(error) = store.hint(epoch, hints).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "how far steps are cannot be told now");
            }
        }
    };
    tokio::select! {
        () = shared.closed() => {}
        () = told => {}
    }
}
