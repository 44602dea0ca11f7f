//! The ends that receive.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::task::coop;

use super::ledger::Taken;
use super::queue::{Alive, End, Haste, Mark};
use super::topics::OpenEnd;
use crate::{Delivery, Envelope, Inlet, Keeper, Receipt, TransportError, TransportResult, limits};

/// An inlet that was dropped may be followed by what it gave out, as when a task ends: all of it goes back together.
pub(super) const GRACE: Duration = Duration::from_millis(50);

/// What the writer and an inlet share.
#[derive(Debug)]
pub(super) struct InEnd {
    pub(super) of: OpenEnd,
    /// It has its line for itself, and the line ends with it.
    pub(super) is_alone: bool,
    /// So many items it takes ahead at most.
    pub(super) batch: usize,
    pub(super) mark: Mark,
    state: Mutex<InState>,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct InState {
    /// Taken out, and not given out.
    pub(super) ready: VecDeque<Taken>,
    /// What the writer is to be told: how many were given out, and what became of them.
    pub(super) given: usize,
    pub(super) acked: Vec<u64>,
    pub(super) released: Vec<u64>,
    /// Given out, and neither acknowledged nor given back.
    pub(super) outstanding: usize,
    /// It wants more, soon; it waits for it.
    pub(super) is_hungry: bool,
    pub(super) is_waiting: bool,
    /// Nothing comes any more.
    pub(super) is_end: bool,
    /// Its owner was told so.
    is_told: bool,
    pub(super) is_closing: bool,
    /// Its owner has dropped it.
    pub(super) dropped: Option<Instant>,
    /// It has left. What it gave out may still be acknowledged.
    pub(super) is_gone: bool,
    /// What it gave out is no matter of its any more.
    pub(super) is_settled: bool,
    pub(super) error: Option<TransportError>,
    /// The error stays.
    pub(super) is_lost: bool,
    waker: Option<Waker>,
}

impl InState {
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn told(&mut self) -> Option<TransportError> {
        if self.is_lost { self.error.clone() } else { self.error.take() }
    }

    /// Whether it is to leave now: where it was dropped, after what it gave out has had time to be given back, too.
    pub(super) fn is_leaving(&self, is_alone: bool, is_last: bool) -> bool {
        let is_dropped =
            self.dropped.is_some_and(|at| is_last || is_alone || self.outstanding == 0 || at.elapsed() >= GRACE);
        !self.is_gone && (self.is_closing || is_dropped)
    }

    /// Whether there is nothing of it that is to be written.
    pub(super) fn is_written(&self) -> bool {
        self.given == 0 && self.acked.is_empty() && self.released.is_empty()
    }
}

impl InEnd {
    pub(super) fn new(of: OpenEnd, is_alone: bool, capacity: i64) -> Self {
        // What is taken ahead is not counted as given out before the next time: that may not be much of the capacity.
        let batch = usize::try_from(capacity / 8).unwrap_or(1).clamp(1, limits::SQLITE_BATCH);
        Self { of, is_alone, batch, mark: Mark::default(), state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, InState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Out of a topic, or of a mailbox.
#[derive(Debug)]
pub(super) struct SqliteInlet {
    receipts: Arc<Receipts>,
}

/// Keeps the writer while something is not acknowledged.
#[derive(Debug)]
struct Receipts {
    end: Arc<InEnd>,
    alive: Arc<Alive>,
}

impl Receipts {
    fn mark(&self, haste: Haste) {
        self.alive.0.mark(End::In(Arc::clone(&self.end)), haste);
    }

    fn settle(&self, note: impl FnOnce(&mut InState), haste: Haste) {
        let mut state = self.end.lock();
        state.outstanding -= 1;
        if state.is_settled || state.is_lost {
            return;
        }
        note(&mut state);
        // One that has left has no other reason to be looked at.
        let haste = if state.is_gone || state.dropped.is_some() { Haste::Now } else { haste };
        drop(state);
        self.mark(haste);
    }
}

impl Keeper for Receipts {
    fn ack(&self, tag: u64) {
        self.settle(|state| state.acked.push(tag), Haste::Later);
    }

    fn release(&self, tag: u64) {
        let release = |state: &mut InState| {
            state.released.push(tag);
            // It comes again.
            state.is_end &= state.is_told;
        };
        self.settle(release, Haste::Now);
    }
}

impl SqliteInlet {
    pub(super) fn new(end: Arc<InEnd>, alive: Arc<Alive>) -> Self {
        Self { receipts: Arc::new(Receipts { end, alive }) }
    }

    fn refusal(&self) -> TransportResult<()> {
        self.receipts.alive.0.refusal().map_or(Ok(()), Err)
    }

    /// Gives an item out.
    fn give(&self, taken: &Taken) -> TransportResult<Option<Delivery>> {
        let receipt = Receipt::new(Arc::clone(&self.receipts) as _, taken.tag);
        match Envelope::decode(&taken.bytes) {
            Ok(envelope) => Ok(Some(Delivery::new(envelope, receipt).with_again(taken.again))),
            Err(error) => {
                // It would be the same another time.
                receipt.ack();
                Err(error)
            }
        }
    }
}

impl Inlet for SqliteInlet {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        let budget = ready!(coop::poll_proceed(cx));
        self.refusal()?;
        let end = &self.receipts.end;
        let mut state = end.lock();
        if let Some(error) = state.told() {
            return Poll::Ready(Err(error));
        }
        if state.is_end || state.is_closing || state.is_gone {
            state.is_told = true;
            return Poll::Ready(Ok(None));
        }
        let Some(taken) = state.ready.pop_front() else {
            (state.is_hungry, state.is_waiting) = (true, true);
            state.waker = Some(cx.waker().clone());
            drop(state);
            self.refusal()?;
            self.receipts.mark(Haste::Now);
            return Poll::Pending;
        };
        state.is_waiting = false;
        state.given += 1;
        state.outstanding += 1;
        // The next are fetched while these are dealt with. Where it takes one at a time, it is left to others
        // meanwhile.
        let is_low = state.ready.len() <= end.batch / 2;
        if is_low && end.batch > 1 {
            state.is_hungry = true;
        }
        drop(state);
        if is_low {
            self.receipts.mark(if end.batch > 1 { Haste::Now } else { Haste::Later });
        }
        budget.made_progress();
        Poll::Ready(self.give(&taken))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let mut state = self.receipts.end.lock();
        if let Some(error) = state.told() {
            return Poll::Ready(Err(error));
        }
        state.is_closing = true;
        if state.is_gone && (state.is_settled || state.is_written()) {
            return Poll::Ready(Ok(()));
        }
        state.waker = Some(cx.waker().clone());
        drop(state);
        self.refusal()?;
        self.receipts.mark(Haste::Now);
        Poll::Pending
    }
}

impl Drop for SqliteInlet {
    fn drop(&mut self) {
        let mut state = self.receipts.end.lock();
        state.dropped = Some(Instant::now());
        if !state.is_gone {
            drop(state);
            self.receipts.mark(Haste::Now);
        }
    }
}
