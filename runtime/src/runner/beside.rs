//! What a step lets run beside those that follow it: `cx.call_soon`.

use std::sync::{Arc, Weak};

use super::caught::caught_async;
use super::entry::Entry;
use super::handle::AnyHandle;
use super::shared::Shared;
use crate::process::{Call, ErrorInfo};

/// Runs a call in the scope of its process; its error fails the process (S34).
///
/// The runtime is not kept alive by what runs beside its processes.
pub(super) async fn run(shared: Weak<Shared>, entry: Arc<Entry>, call: Call) {
    let Call { future, cancelled } = call;
    let future = super::CURRENT.scope(entry.pid().clone(), caught_async(future.into_inner()));
    let result = tokio::select! {
        biased;
        // A handle that was dropped cancels nothing.
        Ok(()) = cancelled => return,
        result = future => result,
    };
    let error = match result {
        Ok(Ok(())) => return,
        Ok(Err(error)) => ErrorInfo::from_error(&*error),
        Err(panic) => panic,
    };
    tracing::debug!(pid = %entry.pid(), %error, "a call failed");
    if let Some(shared) = shared.upgrade() {
        let handle = AnyHandle::new(shared, Arc::clone(&entry.slot), entry.process.name());
        if let Err(refused) = handle.fail(error).await {
            tracing::debug!(pid = %entry.pid(), %refused, "the process had ended");
        }
    }
}
