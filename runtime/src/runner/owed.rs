//! What a launcher asks of a runtime beside what users ask: replies that are owed, and tasks of its own.

use std::future::Future;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{AnyHandle, RunError, Runtime};
use crate::process::{ProcessId, ProcessState, Request};
use crate::store::OwedReply;

impl Runtime {
    /// Runs something where the drivers run: what users have written is not to run on a communicator's thread.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.shared().tokio.spawn(work)
    }

    /// Where drivers run.
    pub(crate) fn tokio(&self) -> &Handle {
        &self.shared().tokio
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.shared().is_closing()
    }

    /// Waits until the runtime closes.
    pub(crate) async fn closed(&self) {
        self.shared().closed().await;
    }

    /// Waits until transitions so far are told, if there is a communicator.
    pub(crate) async fn told(&self) {
        if let Some(remote) = &self.shared().remote {
            remote.told().await;
        }
    }

    /// Keeps that a process owes a reply at its end.
    pub(crate) async fn owe(&self, pid: &ProcessId, reply: OwedReply) -> Result<(), RunError> {
        let Some(store) = self.store() else { return Err(RunError::Volatile { request: "owe a reply" }) };
        Ok(store.owe(self.shared().env.epoch(), pid, reply).await?)
    }

    /// Whether others work on the store, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared().sharing.is_some()
    }

    /// Ends when the runtime closes; until then, calls this with the replies that it has taken over from workers that are
    /// lost, as they come, as long as it takes them: it gives back those that it does not. The runtime is not kept by it.
    pub(crate) fn each_left_reply<S, F>(&self, settle: S) -> impl Future<Output = ()> + Send + use<S, F>
    where
        S: Fn(Vec<(ProcessId, OwedReply)>) -> F + Send,
        F: Future<Output = Vec<(ProcessId, OwedReply)>> + Send,
    {
        let shared = std::sync::Arc::clone(self.shared());
        async move {
            let _looks_after = shared.mender.looks_after();
            loop {
                let replies = shared.mender.take_replies();
                if !replies.is_empty() {
                    let left = settle(replies).await;
                    if !left.is_empty() {
                        return shared.mender.leave_replies(left);
                    }
                }
                tokio::select! {
                    () = shared.closed() => return,
                    () = shared.mender.replies_came.notified() => {}
                }
            }
        }
    }

    /// Has a process of another worker started that may not have been; one that was takes no notice.
    pub(crate) async fn start_elsewhere(&self, pid: &ProcessId) -> Result<(), RunError> {
        let Some(store) = self.store().filter(|_| self.is_shared() && self.shared().entry(pid).is_none()) else {
            return Ok(());
        };
        if store.load(pid).await?.is_some_and(|record| record.state == ProcessState::Created) {
            store.request(pid, Request::Start).await?;
        }
        Ok(())
    }

    /// Forgets replies that were sent.
    pub(crate) async fn settle(&self, replies: Vec<(ProcessId, String)>) -> Result<(), RunError> {
        let Some(store) = self.store() else { return Ok(()) };
        Ok(store.settle(self.shared().env.epoch(), replies).await?)
    }
}

impl AnyHandle {
    /// Whether it can be that the process was not started. That of another worker has to be asked for.
    pub(crate) fn may_be_unstarted(&self) -> bool {
        let Some(entry) = self.shared.entry(self.pid()) else { return false };
        let inner = entry.lock();
        let unstarted = inner.resident.as_ref().is_none_or(|resident| resident.live.is_unstarted());
        inner.view.state == ProcessState::Created && unstarted
    }
}
