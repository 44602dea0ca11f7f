//! The reconciler: finds what workers that are lost have left undone, and mends it.
//!
//! Processes that can go on are found by the claim, in `sharing.rs`; here are messages and replies that nobody sends any
//! more, and parents that wait in vain.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::shared::Shared;
use super::{Guard, RunError, Runtime};
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
    /// How many look after them.
    launchers: AtomicUsize,
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

    /// Someone looks after replies while this lives.
    pub(super) fn looks_after(&self) -> LooksAfter<'_> {
        self.launchers.fetch_add(1, Ordering::AcqRel);
        LooksAfter(&self.launchers)
    }

    /// Whether there are replies that nobody looks after.
    fn has_lonely_replies(&self) -> bool {
        self.launchers.load(Ordering::Acquire) == 0 && !lock(&self.replies).is_empty()
    }

    /// Whether more replies can be taken over at once.
    fn has_room(&self) -> bool {
        lock(&self.replies).len() <= limits::TAKE_OVER
    }

    pub(super) fn leave_replies(&self, replies: Vec<(ProcessId, OwedReply)>) {
        if !replies.is_empty() {
            lock(&self.replies).extend(replies);
            self.replies_came.notify_one();
        }
    }
}

/// Counts one who looks after replies.
pub(super) struct LooksAfter<'a>(&'a AtomicUsize);

impl Drop for LooksAfter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Mends all that there is, once: for who has the store for itself. A store that takes nothing now keeps nobody from going on; it is
/// tried again, and what there is no room for now is taken over later.
pub(super) async fn all(shared: &Arc<Shared>) {
    let mended = async {
        let more = take_over(shared).await?;
        mend(shared).await?;
        Ok(more)
    };
    let mended = mended.await;
    if !matches!(mended, Ok(false)) {
        tokio::spawn(run(Arc::clone(shared), Weak::new()));
    }
    logged("what others have left cannot be mended", &mended);
}

/// Mends at its pace until the runtime closes: for a worker among others. Where one has the store for itself, until nothing is left.
pub(super) async fn run(shared: Arc<Shared>, guard: Weak<Guard>) {
    // Not all of those that start together look at the same time as they start.
    let mut mended = Instant::now();
    let mut lonely = false;
    loop {
        let taken = take_over(&shared).await;
        logged("messages cannot be taken over", &taken);
        let last = shared.sharing.is_none() && matches!(taken, Ok(false));
        if last || mended.elapsed() >= limits::MEND {
            mended = Instant::now();
            let done = mend(&shared).await;
            logged("nothing can be mended", &done);
            if last && done.is_ok() {
                return;
            }
        }
        // Not at once: a launcher may be about to come.
        if std::mem::replace(&mut lonely, shared.mender.has_lonely_replies()) && lonely {
            send_replies(&shared, &guard);
        }
        tokio::select! {
            () = shared.closed() => return,
            () = tokio::time::sleep(limits::RECONCILE) => {}
        }
    }
}

/// Sends replies that no launcher sends, at the ends of their processes: whoever takes them over has a communicator.
fn send_replies(shared: &Arc<Shared>, guard: &Weak<Guard>) {
    let (Some(remote), Some(guard)) = (&shared.remote, guard.upgrade()) else { return };
    let runtime = Runtime { guard };
    let sent = crate::launcher::send_left(runtime, Arc::clone(&remote.communicator), shared.mender.take_replies());
    tokio::spawn(sent);
}

fn logged<T>(what: &str, mended: &Result<T, RunError>) {
    match mended {
        // A worker that was not heard from joins anew, and tells of it.
        Err(RunError::Store(error)) if error.kind() == StoreErrorKind::Stale => {}
        Err(error) => tracing::warn!(error = error as &dyn std::error::Error, "{what}"),
        Ok(_) => {}
    }
}

/// Takes over messages and replies that nobody sends any more, where they can be sent; whether more may be left.
pub(super) async fn take_over(shared: &Arc<Shared>) -> Result<bool, RunError> {
    let (Some(store), Some(remote)) = (shared.store(), &shared.remote) else { return Ok(false) };
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
            return Ok(false);
        }
    }
    Ok(true)
}

async fn mend(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(store) = shared.store() else { return Ok(()) };
    let children = store.mend(shared.env.epoch()).await?.children;
    shared.mender.note(Mending { children, ..Mending::default() });
    Ok(())
}
