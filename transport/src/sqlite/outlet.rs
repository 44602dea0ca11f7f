//! The ends that send.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop;

use super::ledger::{Parcel, int};
use super::queue::{Alive, End, Haste, Mark};
use crate::{Envelope, Outlet, TransportError, TransportResult, limits};

/// The room that the outlets of a topic in one transport share.
#[derive(Debug)]
pub(super) struct Room {
    capacity: i64,
    state: Mutex<RoomState>,
}

#[derive(Debug, Default)]
struct RoomState {
    /// At the fullest line, when it was last looked at.
    waiting: i64,
    /// What is not written yet, of all outlets.
    queued: i64,
    bytes: usize,
    wakers: Vec<(i64, Waker)>,
}

impl Room {
    pub(super) fn new(capacity: i64) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, id: i64, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.has_room(self.capacity) {
            return Poll::Ready(());
        }
        match state.wakers.iter_mut().find(|(other, _)| *other == id) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.wakers.push((id, cx.waker().clone())),
        }
        Poll::Pending
    }

    fn take(&self, bytes: usize) {
        let mut state = self.lock();
        state.queued += 1;
        state.bytes += bytes;
    }

    /// So many wait now, after so many more were written, or given up.
    pub(super) fn update(&self, waiting: Option<i64>, count: usize, bytes: usize) {
        let mut state = self.lock();
        state.waiting = waiting.unwrap_or(state.waiting);
        state.queued -= int(count);
        state.bytes -= bytes.min(state.bytes);
        if state.has_room(self.capacity) {
            state.wakers.drain(..).for_each(|(_, waker)| waker.wake());
        }
    }

    /// Who waits for room looks again.
    pub(super) fn wake(&self) {
        self.lock().wakers.drain(..).for_each(|(_, waker)| waker.wake());
    }

    /// Whether someone waits for room.
    pub(super) fn is_wanted(&self) -> bool {
        !self.lock().wakers.is_empty()
    }
}

impl RoomState {
    fn has_room(&self, capacity: i64) -> bool {
        self.waiting + self.queued < capacity && self.bytes < limits::SQLITE_QUEUE_BYTES
    }
}

/// What the writer and an outlet share.
#[derive(Debug)]
pub(super) struct OutEnd {
    pub(super) id: i64,
    pub(super) topic: i64,
    pub(super) room: Arc<Room>,
    pub(super) mark: Mark,
    state: Mutex<OutState>,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct OutState {
    pub(super) queue: VecDeque<Parcel>,
    /// What was taken and is not safe yet, also while the writer has it.
    pub(super) unsafe_count: usize,
    /// It is to close when all is written.
    pub(super) is_closing: bool,
    /// Its owner has dropped it.
    pub(super) is_dropped: bool,
    /// It has closed or left.
    pub(super) is_gone: bool,
    /// What its owner is to be told.
    pub(super) error: Option<TransportError>,
    /// The error stays.
    pub(super) is_lost: bool,
    waker: Option<Waker>,
}

impl OutState {
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn told(&mut self) -> Option<TransportError> {
        if self.is_lost { self.error.clone() } else { self.error.take() }
    }
}

impl OutEnd {
    pub(super) fn new(id: i64, topic: i64, room: Arc<Room>) -> Self {
        Self { id, topic, room, mark: Mark::default(), state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, OutState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Into a topic.
#[derive(Debug)]
pub(super) struct SqliteOutlet {
    end: Arc<OutEnd>,
    alive: Arc<Alive>,
}

impl SqliteOutlet {
    pub(super) fn new(end: Arc<OutEnd>, alive: Arc<Alive>) -> Self {
        Self { end, alive }
    }

    fn mark(&self, haste: Haste) {
        self.alive.0.mark(End::Out(Arc::clone(&self.end)), haste);
    }

    fn refusal(&self) -> TransportResult<()> {
        self.alive.0.refusal().map_or(Ok(()), Err)
    }

    fn open(&self) -> TransportResult<MutexGuard<'_, OutState>> {
        self.refusal()?;
        let mut state = self.end.lock();
        if let Some(error) = state.told() {
            return Err(error);
        }
        if state.is_closing || state.is_gone { Err(TransportError::Closed) } else { Ok(state) }
    }

    /// Waits until the writer has got to where `is_done`.
    fn poll_done(
        &mut self,
        cx: &mut Context<'_>,
        is_done: impl Fn(&mut OutState) -> bool,
    ) -> Poll<TransportResult<()>> {
        let mut state = self.end.lock();
        if let Some(error) = state.told() {
            return Poll::Ready(Err(error));
        }
        if is_done(&mut state) {
            return Poll::Ready(Ok(()));
        }
        state.waker = Some(cx.waker().clone());
        drop(state);
        // After the waker is there: whoever closes the transport wakes it.
        self.refusal()?;
        self.mark(Haste::Now);
        Poll::Pending
    }
}

impl Outlet for SqliteOutlet {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let budget = ready!(coop::poll_proceed(cx));
        drop(self.open()?);
        if self.end.room.poll(self.end.id, cx).is_ready() {
            budget.made_progress();
            return Poll::Ready(Ok(()));
        }
        self.open()?.waker = Some(cx.waker().clone());
        self.refusal()?;
        // The writer is to look whether other OS processes have made room.
        self.mark(Haste::Later);
        Poll::Pending
    }

    fn start_send(&mut self, envelope: Envelope) -> TransportResult<()> {
        let bytes = envelope.encode()?;
        let mut state = self.open()?;
        self.end.room.take(bytes.len());
        state.unsafe_count += 1;
        state.queue.push_back(Parcel { sender: envelope.sender, number: envelope.number, bytes });
        drop(state);
        self.mark(Haste::Soon);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.poll_done(cx, |state| state.unsafe_count == 0)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.poll_done(cx, |state| {
            state.is_closing = true;
            state.is_gone
        })
    }
}

impl Drop for SqliteOutlet {
    fn drop(&mut self) {
        let mut state = self.end.lock();
        state.is_dropped = true;
        if !state.is_gone {
            drop(state);
            self.mark(Haste::Now);
        }
    }
}
