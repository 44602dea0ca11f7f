//! Replies that are owed to those who sent a task, until its process has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{refusal, result_of};
use crate::communicator::{Communicator, CommunicatorError, Incoming, Refusal, ReplyAddress};
use crate::limits;
use crate::message::Node;
use crate::process::ProcessId;
use crate::runner::{AnyHandle, RunError, Runtime};
use crate::store::OwedReply;

/// Who waits for which process, in memory; the store has the same.
#[derive(Clone)]
pub(super) struct Owed {
    runtime: Runtime,
    communicator: Arc<dyn Communicator>,
    /// By process and id: where the reply goes. One that is there is being waited for.
    addresses: Arc<Mutex<HashMap<(ProcessId, String), String>>>,
}

impl Owed {
    pub(super) fn new(runtime: &Runtime, communicator: Arc<dyn Communicator>) -> Self {
        Self { runtime: runtime.clone(), communicator, addresses: Arc::default() }
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<(ProcessId, String), String>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to a task as it is stored; none if nobody waits, or if there is no store.
    pub(super) fn reply_to(&self, task: &Incoming) -> Result<Option<OwedReply>, Refusal> {
        if self.runtime.store().is_none() {
            return Ok(None);
        }
        let Some(address) = &task.reply_to else { return Ok(None) };
        // A task that was sent twice is waited for twice; one that only came twice has one address.
        let id = format!("{} {} {}", task.id, address.queue, address.correlation_id);
        let address = serde_json::to_string(address).map_err(Refusal::failed)?;
        Ok(Some(OwedReply { id, address }))
    }

    /// Replies when the process has ended; a second call for the same reply does nothing more.
    pub(super) fn repay(&self, handle: AnyHandle, reply: OwedReply) {
        let key = (handle.pid().clone(), reply.id);
        if self.addresses().insert(key.clone(), reply.address).is_some() {
            return;
        }
        let owed = self.clone();
        self.runtime.spawn(async move {
            let answer = match handle.termination().await {
                Ok(termination) => Some(result_of(&termination)),
                Err(error) => owed.lost(&error),
            };
            let answer = match answer {
                Some(answer) => owed.reply(&key, answer).await,
                None => false,
            };
            owed.addresses().remove(&key);
            if answer {
                owed.settle(key).await;
            }
        });
    }

    /// What is said of a process that cannot go on; nothing if it can with the next worker, which replies then.
    fn lost(&self, error: &RunError) -> Option<Result<Node, Refusal>> {
        if self.runtime.is_closing() || !matches!(error, RunError::Parked { .. } | RunError::NotFound(_)) {
            return None;
        }
        Some(Err(refusal(error)))
    }

    /// Sends a reply, as often as it takes; whether it was sent.
    async fn reply(&self, key: &(ProcessId, String), mut answer: Result<Node, Refusal>) -> bool {
        // What the end led to is heard of before it.
        self.runtime.told().await;
        let mut delay = Duration::ZERO;
        loop {
            let address =
                self.addresses().get(key).and_then(|address| serde_json::from_str::<ReplyAddress>(address).ok());
            let Some(address) = address else {
                tracing::error!(pid = %key.0, "the address of a reply cannot be read: it is not sent");
                return true;
            };
            let Err(error) = self.communicator.reply(&address, answer.clone()).await else { return true };
            tracing::debug!(pid = %key.0, error = &error as &dyn std::error::Error, "a reply was not sent");
            match error {
                // The next worker sends it.
                CommunicatorError::Closed => return false,
                error if error.is_retryable() => {
                    delay = (delay * 2).clamp(limits::REPLY_AGAIN, limits::REPLY_AGAIN_MOST);
                    tokio::select! {
                        () = self.runtime.closed() => return false,
                        () = tokio::time::sleep(delay) => {}
                    }
                }
                // It cannot be sent as it is: whoever waits hears at least that.
                error if answer.is_ok() => answer = Err(Refusal::failed(error)),
                error => {
                    tracing::error!(pid = %key.0, error = &error as &dyn std::error::Error, "a reply cannot be sent");
                    return true;
                }
            }
        }
    }

    async fn settle(&self, (pid, id): (ProcessId, String)) {
        if let Err(error) = self.runtime.settle(pid.clone(), id).await {
            // It is sent once more after the next start, and whoever had waited takes no notice.
            tracing::warn!(%pid, error = &error as &dyn std::error::Error, "a reply that was sent stays owed");
        }
    }

    /// Waits for all processes that owe a reply by the store; gives how many replies that are.
    pub(super) async fn resume(&self) -> Result<usize, RunError> {
        let Some(store) = self.runtime.store() else { return Ok(0) };
        let (mut after, mut count) = (None, 0);
        loop {
            let page = store.owed(after.take(), limits::SCAN_PAGE).await?;
            count += page.len();
            after = page.last().map(|(pid, reply)| (pid.clone(), reply.id.clone()));
            let full = page.len() == limits::SCAN_PAGE;
            for (pid, reply) in page {
                self.resume_one(pid, reply).await?;
            }
            if !full {
                return Ok(count);
            }
        }
    }

    async fn resume_one(&self, pid: ProcessId, reply: OwedReply) -> Result<(), RunError> {
        match self.runtime.attach(&pid).await {
            Ok(handle) => self.repay(handle, reply),
            Err(error @ RunError::Store(_)) => return Err(error),
            Err(error) => {
                let Some(answer) = self.lost(&error) else {
                    tracing::error!(%pid, error = &error as &dyn std::error::Error, "a process owes a reply, and cannot go on");
                    return Ok(());
                };
                let (owed, key) = (self.clone(), (pid, reply.id));
                self.addresses().insert(key.clone(), reply.address);
                self.runtime.spawn(async move {
                    let sent = owed.reply(&key, answer).await;
                    owed.addresses().remove(&key);
                    if sent {
                        owed.settle(key).await;
                    }
                });
            }
        }
        Ok(())
    }
}
