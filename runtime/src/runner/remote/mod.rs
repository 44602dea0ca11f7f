//! How the processes of a runtime are reached over a communicator, and tell of their transitions.
//!
//! Nothing here may delay a process or make it fail: drivers leave what is to be told in the [`Outbox`], and a thread
//! of its own talks to the communicator, so that steps that block their thread do not stop it either.

mod answers;
mod courier;
mod message;
mod outbox;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use uuid::Uuid;

use self::outbox::{Last, Outbox};
use super::entry::Entry;
use super::shared::Shared;
use crate::communicator::Communicator;
use crate::limits;
use crate::process::{ProcessId, ProcessState, Transition};
use crate::store::Message;

/// The link of a runtime to its communicator.
pub(crate) struct Remote {
    pub(crate) communicator: Arc<dyn Communicator>,
    outbox: Outbox,
    /// Whether the communicator was waited for in vain, and has not moved since.
    late: AtomicBool,
    /// Whether the thread has ended, and every subscription is removed.
    gone: watch::Sender<bool>,
}

impl Remote {
    pub(crate) fn new(communicator: Arc<dyn Communicator>) -> Arc<Self> {
        Arc::new(Self {
            communicator,
            outbox: Outbox::new(),
            late: AtomicBool::new(false),
            gone: watch::Sender::new(false),
        })
    }

    /// Talks to the communicator until the runtime has closed.
    pub(super) fn start(self: &Arc<Self>, shared: &Arc<Shared>) -> std::io::Result<()> {
        courier::start(Arc::clone(self), shared)
    }

    /// A process is here; its creation is told if it is new.
    pub(super) fn join(&self, pid: &ProcessId, creation: Option<(Transition<'_>, Option<Uuid>)>) {
        self.outbox.join(pid, creation);
    }

    /// What is to be stored with a transition.
    pub(super) fn message(&self, transition: Transition<'_>) -> Option<Message> {
        if self.outbox.stores() { message::write(transition) } else { None }
    }

    /// Tells of a transition that was committed, with this message if any was stored.
    pub(super) fn tell(&self, transition: Transition<'_>, message: Option<Uuid>) {
        self.outbox.tell(transition, message);
    }

    /// Whether more can be taken over at once.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Tells what others have left behind.
    pub(super) fn take_over(&self, messages: &[(ProcessId, Message)]) {
        let mut all = Vec::with_capacity(messages.len());
        for (pid, message) in messages {
            match message::read(message) {
                Ok(news) => all.push(news),
                // It is kept, for a worker that can.
                Err(reason) => tracing::error!(%pid, reason, "a message cannot be read, and is not sent"),
            }
        }
        self.outbox.tell_all(all);
    }

    /// A process has ended, or cannot go on here.
    pub(super) fn leave(&self, entry: &Entry, state: Option<ProcessState>) {
        let (process, created_at) = (entry.process.name(), entry.created_at);
        self.outbox.leave(entry.pid(), state.map(|state| Last { process, state, created_at }));
    }

    /// Some came or went: the communicator is there.
    fn moved(&self) {
        self.late.store(false, Ordering::Relaxed);
    }

    /// Waits until all that are here can be reached, but not long.
    pub(crate) async fn arrived(&self) {
        // One that is away holds up one launch, and not each.
        if self.late.load(Ordering::Relaxed) {
            return;
        }
        if tokio::time::timeout(limits::REACHABLE, self.outbox.all_arrived()).await.is_err() {
            self.late.store(true, Ordering::Relaxed);
            tracing::debug!("processes cannot be reached yet");
        }
    }

    /// Waits until all that was to be told is told, but not long.
    pub(crate) async fn told(&self) {
        if tokio::time::timeout(limits::TOLD, self.outbox.all_told()).await.is_err() {
            tracing::debug!("transitions are not told yet");
        }
    }

    /// Waits until every subscription is removed, after the runtime has closed.
    pub(super) async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        if tokio::time::timeout(limits::FAREWELL, gone.wait_for(|gone| *gone)).await.is_err() {
            tracing::warn!("subscriptions of a runtime that was shut down are still being removed");
        }
    }
}
