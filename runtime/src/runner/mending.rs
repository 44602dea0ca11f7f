//! The reconciler: finds what workers that are lost have left undone, and mends it.
//!
//! Processes that can go on are found by the claim, in `sharing.rs`; here are messages and replies that nobody sends any
//! more, and parents that wait in vain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::RunError;
use super::shared::Shared;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{OwedReply, StoreErrorKind, Unsent};

/// What a runtime has mended so far: [`Runtime::mended`](crate::Runtime::mended).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mending {
    /// Processes that it went on with since their worker was lost.
    pub processes: u64,
    /// Messages that it took over from those who sent them no more.
    pub messages: u64,
    /// Replies that it took over in the same way.
    pub replies: u64,
    /// Children that parents waited for in vain.
    pub children: u64,
}

/// Keeps count of it.
#[derive(Default)]
pub(crate) struct Mender {
    mended: Mutex<Mending>,
    /// Replies that were taken over, for whoever sends them.
    replies: Mutex<Vec<(ProcessId, OwedReply)>>,
    /// There are some.
    pub(crate) replies_came: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mender {
    pub(crate) fn mended(&self) -> Mending {
        *lock(&self.mended)
    }

    /// Counts and tells what was mended, if anything was.
    pub(super) fn note(&self, more: Mending) {
        if more == Mending::default() {
            return;
        }
        let Mending { processes, messages, replies, children } = more;
        tracing::info!(processes, messages, replies, children, "mended what others have left");
        let mut mended = lock(&self.mended);
        mended.processes += processes;
        mended.messages += messages;
        mended.replies += replies;
        mended.children += children;
    }

    /// Replies that were taken over and that nobody has looked after yet.
    pub(crate) fn take_replies(&self) -> Vec<(ProcessId, OwedReply)> {
        std::mem::take(&mut *lock(&self.replies))
    }

    /// Whether more replies can be taken over at once.
    fn has_room(&self) -> bool {
        lock(&self.replies).len() <= limits::TAKE_OVER
    }

    fn leave_replies(&self, replies: Vec<(ProcessId, OwedReply)>) {
        if !replies.is_empty() {
            lock(&self.replies).extend(replies);
            self.replies_came.notify_one();
        }
    }
}

/// Mends all that there is, once: for who has the store for itself. A store that takes nothing now keeps nobody from going on; it is
/// tried again.
pub(super) async fn all(shared: &Arc<Shared>) {
    let mended = async {
        take_over(shared).await?;
        mend(shared).await
    };
    let mended = mended.await;
    if mended.is_err() {
        tokio::spawn(run(Arc::clone(shared)));
    }
    logged("what others have left cannot be mended", mended);
}

/// Mends at its pace until the runtime closes: for a worker among others.
pub(super) async fn run(shared: Arc<Shared>) {
    // Not all of those that start together look at the same time as they start.
    let mut mended = Instant::now();
    loop {
        logged("messages cannot be taken over", take_over(&shared).await);
        if mended.elapsed() >= limits::MEND {
            mended = Instant::now();
            logged("nothing can be mended", mend(&shared).await);
        }
        tokio::select! {
            () = shared.closed() => return,
            () = tokio::time::sleep(limits::RECONCILE) => {}
        }
    }
}

fn logged(what: &str, mended: Result<(), RunError>) {
    match mended {
        // A worker that was not heard from joins anew, and tells of it.
        Err(RunError::Store(error)) if error.kind() == StoreErrorKind::Stale => {}
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "{what}"),
        Ok(()) => {}
    }
}

/// Takes over messages and replies that nobody sends any more, where they can be sent.
pub(super) async fn take_over(shared: &Arc<Shared>) -> Result<(), RunError> {
    let (Some(store), Some(remote)) = (shared.store(), &shared.remote) else { return Ok(()) };
    while remote.has_room() && shared.mender.has_room() {
        let unsent = store.unsent(shared.env.epoch(), limits::TAKE_OVER).await;
        let Unsent { messages, replies } = unsent.inspect_err(|error| shared.doubt(error))?;
        let (told, owed) = (messages.len(), replies.len());
        remote.take_over(&messages);
        if shared.sharing.is_some() {
            shared.mender.leave_replies(replies);
        }
        let (messages, replies) = (told as u64, owed as u64);
        shared.mender.note(Mending { messages, replies, ..Mending::default() });
        if told.max(owed) < limits::TAKE_OVER {
            break;
        }
    }
    Ok(())
}

async fn mend(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(store) = shared.store() else { return Ok(()) };
    let children = store.mend(shared.env.epoch()).await?.children;
    shared.mender.note(Mending { children, ..Mending::default() });
    Ok(())
}
