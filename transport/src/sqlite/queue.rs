//! The way of what is asked to the writer.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::inlet::{InEnd, SqliteInlet};
use super::outlet::{OutEnd, SqliteOutlet};
use crate::{Topic, TransportError, TransportResult, limits};

/// How soon an end is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Haste {
    /// Nobody waits for it, or not for long.
    Later = 1,
    /// More may come at once, which shares the flush.
    Soon = 2,
    Now = 3,
}

impl Haste {
    fn delay(self) -> Duration {
        match self {
            Self::Later => LATER,
            Self::Soon => Duration::from_micros(200),
            Self::Now => Duration::ZERO,
        }
    }
}

/// What nobody waits for is written after this time, or with what is: a quick disk takes some flushes in it.
pub(super) const LATER: Duration = Duration::from_millis(2);

/// What is to be opened.
#[derive(Debug)]
pub(super) enum Wanted {
    Outlet(Topic),
    Inlet(Topic),
    Mailbox(String),
}

/// What was opened. Dropped, it leaves.
#[derive(Debug)]
pub(super) enum Opened {
    Outlet(SqliteOutlet),
    Inlet(SqliteInlet),
}

#[derive(Debug)]
pub(super) enum Ask {
    Open { wanted: Wanted, alive: Arc<Alive>, answer: oneshot::Sender<TransportResult<Opened>> },
    Post { address: String, bytes: Bytes, answer: oneshot::Sender<TransportResult<()>> },
    Close { answer: oneshot::Sender<TransportResult<()>> },
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) ask: Ask,
    /// Its place, free again when it is answered, also if nobody waits for it any more.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// An end with something to write.
#[derive(Debug, Clone)]
pub(super) enum End {
    Out(Arc<OutEnd>),
    In(Arc<InEnd>),
}

impl End {
    fn mark(&self) -> &Mark {
        match self {
            Self::Out(end) => &end.mark,
            Self::In(end) => &end.mark,
        }
    }
}

/// Whether the writer is to look at an end, and how soon.
#[derive(Debug, Default)]
pub(super) struct Mark(AtomicU8);

impl Mark {
    /// What is noted from now on marks the end anew.
    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

/// What all that belongs to one open transport has in common.
#[derive(Debug)]
pub(super) struct Shared {
    todo: Mutex<Todo>,
    arrived: Condvar,
    /// Places of those that open, and of those that post, who may have to wait for room.
    places: Arc<Semaphore>,
    posts: Arc<Semaphore>,
    is_shut: AtomicBool,
    broken: OnceLock<TransportError>,
}

#[derive(Debug, Default)]
struct Todo {
    calls: Vec<Call>,
    marked: Vec<End>,
    /// When the marked ends are to be looked at.
    at: Option<Instant>,
    is_asleep: bool,
    /// All handles are gone.
    is_left: bool,
    /// Nobody takes anything any more.
    is_over: bool,
}

/// What the writer finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) calls: Vec<Call>,
    pub(super) marked: Vec<End>,
    pub(super) is_left: bool,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            todo: Mutex::default(),
            arrived: Condvar::new(),
            places: Arc::new(Semaphore::new(limits::SQLITE_CALLS)),
            posts: Arc::new(Semaphore::new(limits::SQLITE_CALLS)),
            is_shut: AtomicBool::new(false),
            broken: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be done any more.
    pub(super) fn refusal(&self) -> Option<TransportError> {
        if !self.is_shut.load(Ordering::SeqCst) {
            return None;
        }
        Some(self.broken.get().cloned().unwrap_or(TransportError::Closed))
    }

    /// From now on everything is refused: as the transport is closed, or because of this.
    pub(super) fn shut(&self, because: Option<TransportError>) {
        if let Some(error) = because {
            // Where it was closed before, that is what is told.
            if !self.is_shut.load(Ordering::SeqCst) {
                let _ = self.broken.set(error);
            }
        }
        self.is_shut.store(true, Ordering::SeqCst);
    }

    /// Nobody takes anything any more; what came in between is dropped, which answers it.
    pub(super) fn end(&self) {
        let mut todo = self.lock();
        todo.is_over = true;
        let (calls, marked) = (std::mem::take(&mut todo.calls), std::mem::take(&mut todo.marked));
        drop(todo);
        drop((calls, marked));
        self.places.close();
        self.posts.close();
    }

    /// Asks the writer, and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        is_post: bool,
        ask: impl FnOnce(oneshot::Sender<TransportResult<T>>) -> Ask,
    ) -> TransportResult<T> {
        let gone = || self.refusal().unwrap_or(TransportError::Closed);
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        let place =
            Arc::clone(if is_post { &self.posts } else { &self.places }).acquire_owned().await.map_err(|_| gone())?;
        let (answer, answered) = oneshot::channel();
        self.push(Call { ask: ask(answer), place: Some(place) });
        answered.await.map_err(|_| gone())?
    }

    pub(super) fn push(&self, call: Call) {
        let mut todo = self.lock();
        if todo.is_over {
            drop(todo);
            return;
        }
        todo.calls.push(call);
        self.wake(todo);
    }

    fn wake(&self, mut todo: MutexGuard<'_, Todo>) {
        // A writer that is awake looks again before it sleeps.
        if std::mem::take(&mut todo.is_asleep) {
            drop(todo);
            self.arrived.notify_one();
        }
    }

    /// Says that the writer is to look at an end.
    pub(super) fn mark(&self, end: End, haste: Haste) {
        let before = end.mark().0.fetch_max(haste as u8, Ordering::SeqCst);
        if before >= haste as u8 {
            return;
        }
        let mut todo = self.lock();
        if todo.is_over {
            return;
        }
        if before == 0 {
            todo.marked.push(end);
        }
        let at = Instant::now() + haste.delay();
        if todo.at.is_none_or(|before| at < before) {
            todo.at = Some(at);
            self.wake(todo);
        }
    }

    fn leave(&self) {
        let mut todo = self.lock();
        todo.is_left = true;
        self.wake(todo);
    }

    /// Waits for something to do, at most until `until`.
    pub(super) fn take(&self, until: Option<Instant>) -> Found {
        let mut todo = self.lock();
        loop {
            if !todo.calls.is_empty() || todo.is_left {
                break;
            }
            let until = until.into_iter().chain(todo.at).min();
            let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
            if wait.is_some_and(|wait| wait.is_zero()) {
                break;
            }
            todo.is_asleep = true;
            todo = match wait {
                Some(wait) => self.arrived.wait_timeout(todo, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.arrived.wait(todo).unwrap_or_else(PoisonError::into_inner),
            };
            todo.is_asleep = false;
        }
        todo.at = None;
        Found {
            calls: std::mem::take(&mut todo.calls),
            marked: std::mem::take(&mut todo.marked),
            is_left: todo.is_left,
        }
    }
}

/// While there is one, someone may want something of the writer.
#[derive(Debug)]
pub(super) struct Alive(pub(super) Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.leave();
    }
}
