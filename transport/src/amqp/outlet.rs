//! A way into a topic: what is taken waits here, in order, until the broker has confirmed it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::task::coop;

use super::Core;
use crate::{Envelope, Outlet, TransportError, TransportResult, limits};

/// What the outlet and the task that sends for it share.
pub(super) struct Pending {
    state: Mutex<State>,
    /// Something is to be sent, or the outlet closes, or is gone.
    pub(super) work: Notify,
    dropped: Notify,
    /// So many may be unconfirmed.
    window: usize,
    topic: String,
}

struct State {
    /// What is not confirmed, each with its number.
    queue: VecDeque<(u64, Bytes)>,
    next: u64,
    phase: Phase,
    room: Option<Waker>,
    settled: Option<Waker>,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Open,
    /// It is to end when all is confirmed, and to say so.
    Closing,
    /// It is to end when all is confirmed.
    Dropped,
    Closed,
    Failed(TransportError),
}

impl Pending {
    pub(super) fn new(topic: &str, capacity: usize) -> Self {
        let state = State { queue: VecDeque::new(), next: 1, phase: Phase::Open, room: None, settled: None };
        let window = capacity.min(limits::UNCONFIRMED);
        Self { state: Mutex::new(state), work: Notify::new(), dropped: Notify::new(), window, topic: topic.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    /// Ends when the outlet was dropped.
    pub(super) async fn dropped(&self) {
        self.dropped.notified().await;
    }

    /// How much is unconfirmed.
    pub(super) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// The one that is so far behind the first.
    pub(super) fn at(&self, index: usize) -> Option<(u64, Bytes)> {
        self.lock().queue.get(index).cloned()
    }

    /// The first one is confirmed.
    pub(super) fn confirmed(&self) {
        let mut state = self.lock();
        state.queue.pop_front();
        if state.queue.is_empty() {
            state.settled.take().into_iter().for_each(Waker::wake);
        }
        state.room.take().into_iter().for_each(Waker::wake);
    }

    /// Of the first ones, those that were confirmed are.
    pub(super) fn confirmed_of(&self, outcomes: &[bool]) {
        let mut state = self.lock();
        let known = outcomes.len().min(state.queue.len());
        let rest = state.queue.split_off(known);
        let sent = std::mem::replace(&mut state.queue, rest);
        let refused = sent.into_iter().zip(outcomes).filter(|(_, confirmed)| !**confirmed).map(|(message, _)| message);
        for message in refused.collect::<Vec<_>>().into_iter().rev() {
            state.queue.push_front(message);
        }
        state.room.take().into_iter().for_each(Waker::wake);
    }

    /// The number of what comes after all: however often it is sent, it is the same.
    pub(super) fn last_number(&self) -> u64 {
        self.lock().next
    }

    /// Nothing is sent any more.
    pub(super) fn end(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        [state.room.take(), state.settled.take()].into_iter().flatten().for_each(Waker::wake);
    }
}

/// A way into a topic.
pub(super) struct AmqpOutlet {
    pending: Arc<Pending>,
    core: Arc<Core>,
    /// Its task has ended when the other side is gone.
    gone: watch::Receiver<()>,
}

impl AmqpOutlet {
    pub(super) fn new(pending: Arc<Pending>, core: Arc<Core>, gone: watch::Receiver<()>) -> Self {
        Self { pending, core, gone }
    }

    fn poll_settled(&mut self, cx: &mut Context<'_>, closing: bool) -> Poll<TransportResult<()>> {
        let mut state = self.pending.lock();
        if closing && matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closing;
            state.room.take().into_iter().for_each(Waker::wake);
            self.pending.work.notify_one();
        }
        match &state.phase {
            Phase::Failed(TransportError::Closed) if state.queue.is_empty() => return Poll::Ready(Ok(())),
            Phase::Failed(error) => return Poll::Ready(Err(error.clone())),
            Phase::Closed => return Poll::Ready(Ok(())),
            _ if !closing && state.queue.is_empty() => return Poll::Ready(Ok(())),
            _ => {}
        }
        state.settled = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Outlet for AmqpOutlet {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let budget = ready!(coop::poll_proceed(cx));
        let mut state = self.pending.lock();
        match &state.phase {
            Phase::Open => {}
            Phase::Failed(error) => return Poll::Ready(Err(error.clone())),
            Phase::Closing | Phase::Dropped | Phase::Closed => return Poll::Ready(Err(TransportError::Closed)),
        }
        if state.queue.len() >= self.pending.window {
            state.room = Some(cx.waker().clone());
            return Poll::Pending;
        }
        budget.made_progress();
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, envelope: Envelope) -> TransportResult<()> {
        let body = envelope.encode()?;
        let mut state = self.pending.lock();
        match &state.phase {
            Phase::Open => {}
            Phase::Failed(error) => return Err(error.clone()),
            Phase::Closing | Phase::Dropped | Phase::Closed => return Err(TransportError::Closed),
        }
        if state.queue.len() >= self.pending.window {
            let reason = "there is no room: `poll_ready` was not asked".to_owned();
            return Err(TransportError::Refused { what: "an envelope", reason });
        }
        let number = state.next;
        state.next += 1;
        state.queue.push_back((number, body));
        drop(state);
        self.pending.work.notify_one();
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.poll_settled(cx, false)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.poll_settled(cx, true)
    }
}

impl Drop for AmqpOutlet {
    fn drop(&mut self) {
        let mut state = self.pending.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Dropped;
        }
        drop(state);
        self.core.leaving.add(&self.pending.topic, self.gone.clone());
        self.pending.dropped.notify_one();
        self.pending.work.notify_one();
    }
}

impl fmt::Debug for AmqpOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpOutlet").field("topic", &self.pending.topic).finish_non_exhaustive()
    }
}
