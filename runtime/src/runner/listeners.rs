//! The listeners of a runtime that are not stored, and telling all that listen to a process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::caught::caught;
use crate::listener::{Listener, ListenerId};
use crate::process::ProcessId;

#[derive(Clone)]
struct Listening {
    id: ListenerId,
    /// The one process that it observes; all without it.
    only: Option<ProcessId>,
    listener: Arc<dyn Listener>,
}

/// The list is copied when it changes, and read without holding its lock: a listener may add or remove others.
#[derive(Default)]
pub(crate) struct Listeners {
    list: RwLock<Arc<Vec<Listening>>>,
    last: AtomicU64,
}

impl Listeners {
    pub(crate) fn new(listeners: Vec<Arc<dyn Listener>>) -> Self {
        let table = Self::default();
        for listener in listeners {
            table.add(None, listener);
        }
        table
    }

    fn list(&self) -> Arc<Vec<Listening>> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes out those that a test says; they are dropped by the caller, since their code is the user's.
    fn take(&self, test: impl FnMut(&mut Listening) -> bool) -> Vec<Listening> {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut list).extract_if(.., test).collect()
    }

    pub(crate) fn add(&self, only: Option<ProcessId>, listener: Arc<dyn Listener>) -> ListenerId {
        let id = ListenerId(self.last.fetch_add(1, Ordering::Relaxed));
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut list).push(Listening { id, only, listener });
        id
    }

    /// Removes a listener; whether it was there.
    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        !self.take(|listening| listening.id == id).is_empty()
    }

    /// Removes those that observe nothing but a process that has ended.
    pub(crate) fn forget(&self, pid: &ProcessId) {
        if self.list().iter().any(|listening| listening.only.as_ref() == Some(pid)) {
            drop(self.take(|listening| listening.only.as_ref() == Some(pid)));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Tells all that listen to a process, in the order in which they were added.
    pub(crate) fn tell(&self, pid: &ProcessId, what: impl Fn(&dyn Listener)) {
        if self.is_empty() {
            return;
        }
        for listening in self.list().iter().filter(|it| it.only.as_ref().is_none_or(|only| only == pid)) {
            tell_one(&*listening.listener, pid, &what);
        }
    }
}

/// Tells one listener; a panic in it is its own affair (S41).
pub(crate) fn tell_one(listener: &dyn Listener, pid: &ProcessId, what: impl Fn(&dyn Listener)) {
    if let Err(panic) = caught(|| what(listener)) {
        tracing::error!(%pid, %panic, "a listener panicked");
    }
}
