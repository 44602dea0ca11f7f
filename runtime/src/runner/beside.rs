//! What a step lets run beside those that follow it: `cx.call_soon`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::RunError;
use super::caught::caught_async;
use super::handle::AnyHandle;
use super::shared::Shared;
use crate::limits;
use crate::process::{Call, ErrorInfo, Slot};

/// What a call knows of its process. It keeps neither the runtime nor the process alive.
pub(super) struct Beside {
    pub(super) shared: Weak<Shared>,
    pub(super) slot: Arc<Slot>,
    pub(super) process: &'static str,
    /// Counted until it has ended.
    pub(super) running: Arc<AtomicUsize>,
}

/// Counts a call as ended, also one that is cut off.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Beside {
    /// Runs a call in the scope of its process; its error fails the process (S34).
    pub(super) async fn run(self, call: Call) {
        let running = Running(Arc::clone(&self.running));
        let Call { future, cancelled } = call;
        let future = super::CURRENT.scope(self.slot.pid.clone(), caught_async(future.into_inner()));
        let result = tokio::select! {
            biased;
            // A handle that was dropped cancels nothing.
            Ok(()) = cancelled => Ok(Ok(())),
            result = future => result,
        };
        drop(running);
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(ErrorInfo::from_error(&*error)).await,
            Err(panic) => self.fail(panic).await,
        }
        // A process that waits stays in memory for its calls; now it need not.
        if let Some(shared) = self.shared.upgrade() {
            shared.wake(&self.slot.pid);
        }
    }

    /// Fails the process, as soon as the store takes the request.
    async fn fail(&self, error: ErrorInfo) {
        let pid = &self.slot.pid;
        tracing::debug!(%pid, %error, "a call failed");
        while let Some(shared) = self.shared.upgrade() {
            let handle = AnyHandle::new(shared, Arc::clone(&self.slot), self.process);
            match handle.fail(error.clone()).await {
                Err(refused) if refused.is_retryable() => {}
                Err(refused @ (RunError::InvalidState { .. } | RunError::Closed)) => {
                    return tracing::debug!(%pid, %refused, "the process had ended, or ends with its runtime");
                }
                Err(refused) => return tracing::error!(%pid, %error, %refused, "the error of a call is lost"),
                Ok(_) => return,
            }
            drop(handle);
            tokio::time::sleep(limits::REQUEST_POLL).await;
        }
    }
}
