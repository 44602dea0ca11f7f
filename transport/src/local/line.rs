//! A bounded line of items between tasks: many send, many receive, each item goes to one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop;

use crate::limits;

/// Its ends tell themselves apart by these.
static ENDS: AtomicU64 = AtomicU64::new(1);

/// What tells an end from others.
pub(crate) fn end_id() -> u64 {
    ENDS.fetch_add(1, Ordering::Relaxed)
}

pub(crate) struct Line<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    /// Places that are taken: items that are in the line, or in the hands of a receiver that has not given them out. Grows only
    /// under the lock.
    occupied: AtomicUsize,
    /// Whether a sender waits for a place. Set under the lock before it looks at `occupied` once more.
    is_full: AtomicBool,
    /// Whether nothing is sent any more.
    is_over: AtomicBool,
}

struct State<T> {
    /// In the order of their numbers.
    items: VecDeque<Entry<T>>,
    /// The number of the next item.
    next: u64,
    senders: Waiting,
    receivers: Waiting,
    /// Senders that have neither closed nor gone.
    open: usize,
    /// Receivers that are there.
    present: usize,
    /// Items that were given out and neither acknowledged nor given back.
    held: usize,
    /// Whether who receives does so alone.
    is_exclusive: bool,
    /// Whether the end was told.
    is_told: bool,
    is_shut: bool,
}

/// An item with its place in the line.
pub(crate) struct Entry<T> {
    pub(crate) number: u64,
    pub(crate) again: bool,
    pub(crate) value: T,
}

/// Who is to be woken. All are, as whoever is woken may have lost interest: ends of a line are few.
#[derive(Default)]
struct Waiting(Vec<(u64, Waker)>);

impl Waiting {
    fn add(&mut self, id: u64, waker: &Waker) {
        match self.0.iter_mut().find(|(other, _)| *other == id) {
            Some((_, known)) => known.clone_from(waker),
            None => self.0.push((id, waker.clone())),
        }
    }

    fn wake(&mut self) {
        self.0.drain(..).for_each(|(_, waker)| waker.wake());
    }
}

/// Why nothing goes into a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// All senders have closed.
    Over,
    /// The transport or the owner is gone.
    Shut,
}

impl<T> Line<T> {
    /// A line on which nobody is.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                next: 1,
                senders: Waiting::default(),
                receivers: Waiting::default(),
                open: 0,
                present: 0,
                held: 0,
                is_exclusive: false,
                is_told: false,
                is_shut: false,
            }),
            capacity,
            occupied: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another sender. What has ended begins anew once the end was told and nobody receives any more.
    pub(crate) fn open(&self) -> Result<(), Stopped> {
        let mut state = self.state();
        if state.is_shut {
            return Err(Stopped::Shut);
        }
        if self.is_over.load(Ordering::SeqCst) {
            if state.present > 0 || !state.is_told {
                return Err(Stopped::Over);
            }
            self.is_over.store(false, Ordering::SeqCst);
            state.is_told = false;
        }
        state.open += 1;
        Ok(())
    }

    /// A sender says that nothing comes any more from it.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.open -= 1;
        if state.open == 0 {
            self.is_over.store(true, Ordering::SeqCst);
            state.receivers.wake();
            state.senders.wake();
        }
    }

    /// A sender is gone, and another may take its place.
    pub(crate) fn leave(&self) {
        self.state().open -= 1;
    }

    /// Nothing is sent or received any more.
    pub(crate) fn shut(&self) {
        let mut state = self.state();
        state.is_shut = true;
        state.receivers.wake();
        state.senders.wake();
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.state().is_shut
    }

    /// Whether it can be forgotten once nobody is on it: it has nothing, not even an end that is to be told.
    pub(crate) fn is_spent(&self) -> bool {
        let state = self.state();
        state.items.is_empty() && state.held == 0 && (state.is_told || !self.is_over.load(Ordering::SeqCst))
    }

    /// Waits until there is a place, for the sender `id`.
    pub(crate) fn poll_room(&self, id: u64, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        let budget = ready!(coop::poll_proceed(cx));
        ready!(self.poll_place(&mut self.state(), id, cx))?;
        budget.made_progress();
        Poll::Ready(Ok(()))
    }

    /// Waits for a place; the lock keeps it free.
    fn poll_place(&self, state: &mut State<T>, id: u64, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        if state.is_shut {
            return Poll::Ready(Err(Stopped::Shut));
        }
        if self.is_over.load(Ordering::Relaxed) {
            return Poll::Ready(Err(Stopped::Over));
        }
        if self.occupied.load(Ordering::SeqCst) < self.capacity {
            return Poll::Ready(Ok(()));
        }
        self.is_full.store(true, Ordering::SeqCst);
        // A receiver that gave an item out before this has not seen the flag.
        if self.occupied.load(Ordering::SeqCst) < self.capacity {
            return Poll::Ready(Ok(()));
        }
        state.senders.add(id, cx.waker());
        Poll::Pending
    }

    /// Puts an item in, whether or not there is a place.
    pub(crate) fn put(&self, value: T) {
        self.push(&mut self.state(), value);
    }

    fn push(&self, state: &mut State<T>, value: T) {
        self.occupied.fetch_add(1, Ordering::SeqCst);
        let number = state.next;
        state.next += 1;
        state.items.push_back(Entry { number, again: false, value });
        state.receivers.wake();
    }

    /// Puts the item in once there is a place.
    pub(crate) fn poll_send(&self, id: u64, value: &mut Option<T>, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        let budget = ready!(coop::poll_proceed(cx));
        let mut state = self.state();
        ready!(self.poll_place(&mut state, id, cx))?;
        if let Some(value) = value.take() {
            self.push(&mut state, value);
        }
        budget.made_progress();
        Poll::Ready(Ok(()))
    }

    /// An item was given out.
    fn free_one(&self) {
        let before = self.occupied.fetch_sub(1, Ordering::SeqCst);
        if self.is_full.load(Ordering::SeqCst) {
            let mut state = self.state();
            self.is_full.store(false, Ordering::SeqCst);
            state.senders.wake();
        }
        if before == 1 && self.is_over.load(Ordering::SeqCst) {
            self.state().receivers.wake();
        }
    }

    /// Puts back what was taken out and not dealt with.
    fn restore(&self, state: &mut State<T>, entry: Entry<T>) {
        let at = state.items.partition_point(|other| other.number < entry.number);
        state.items.insert(at, entry);
        state.receivers.wake();
    }
}

impl<T> fmt::Debug for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// One who sends on a line.
#[derive(Debug)]
pub(crate) struct LineSender<T> {
    line: Arc<Line<T>>,
    id: u64,
    is_open: bool,
}

impl<T> LineSender<T> {
    pub(crate) fn new(line: Arc<Line<T>>) -> Result<Self, Stopped> {
        line.open()?;
        Ok(Self { line, id: end_id(), is_open: true })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn line(&self) -> &Line<T> {
        &self.line
    }

    pub(crate) fn poll_send(&self, value: &mut Option<T>, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        self.line.poll_send(self.id, value, cx)
    }

    pub(crate) fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.line.close();
        }
    }
}

impl<T> Drop for LineSender<T> {
    fn drop(&mut self) {
        if self.is_open {
            self.line.leave();
        }
    }
}

/// One who receives from a line.
pub(crate) struct LineReceiver<T> {
    line: Arc<Line<T>>,
    id: u64,
    /// Items that were taken together, for the lock's sake; their places are still occupied.
    taken: VecDeque<Entry<T>>,
    /// Items that were given out here and neither acknowledged nor given back; changed under the line's lock.
    held: Arc<AtomicUsize>,
    is_present: bool,
}

impl<T> fmt::Debug for LineReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReceiver").field("line", &self.line).finish_non_exhaustive()
    }
}

impl<T> LineReceiver<T> {
    pub(crate) fn new(line: Arc<Line<T>>) -> Result<Self, Stopped> {
        // Of a line on which nobody is alone.
        Self::join(line, false)?.ok_or(Stopped::Shut)
    }

    /// One more, if whoever wants to be alone can: nobody else receives then, and nothing is held of one who has left.
    pub(crate) fn join(line: Arc<Line<T>>, is_exclusive: bool) -> Result<Option<Self>, Stopped> {
        let mut state = line.state();
        if state.is_shut {
            return Err(Stopped::Shut);
        }
        if state.is_exclusive || (is_exclusive && (state.present > 0 || state.held > 0)) {
            return Ok(None);
        }
        state.present += 1;
        state.is_exclusive = is_exclusive;
        drop(state);
        Ok(Some(Self { line, id: end_id(), taken: VecDeque::new(), held: Arc::default(), is_present: true }))
    }

    pub(crate) fn line(&self) -> &Arc<Line<T>> {
        &self.line
    }

    /// The next item, which is its receiver's from now on; `None` at the end.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Entry<T>>, Stopped>> {
        let budget = ready!(coop::poll_proceed(cx));
        if self.taken.is_empty() && !ready!(self.poll_fetch(cx))? {
            return Poll::Ready(Ok(None));
        }
        budget.made_progress();
        let entry = self.taken.pop_front();
        self.line.free_one();
        Poll::Ready(Ok(entry))
    }

    /// The next item, which is given back unless it is acknowledged.
    pub(crate) fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Given<T>>, Stopped>> {
        let budget = ready!(coop::poll_proceed(cx));
        if self.taken.is_empty() && !ready!(self.poll_fetch(cx))? {
            return Poll::Ready(Ok(None));
        }
        budget.made_progress();
        let Some(entry) = self.taken.pop_front() else { return Poll::Ready(Ok(None)) };
        let mut state = self.line.state();
        state.held += 1;
        self.held.fetch_add(1, Ordering::SeqCst);
        drop(state);
        // Its place is free only now that others can see that it is held: until then the end could not be told.
        self.line.free_one();
        Poll::Ready(Ok(Some((entry, Held { line: Arc::clone(&self.line), by: Arc::clone(&self.held) }))))
    }

    /// Takes items out of the line; whether there are any, or there is the end.
    fn poll_fetch(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Stopped>> {
        if !self.is_present {
            return Poll::Ready(Ok(false));
        }
        let mut state = self.line.state();
        if state.is_shut {
            return Poll::Ready(Err(Stopped::Shut));
        }
        if state.items.is_empty() {
            // What others hold may come back, and what is in their hands may be given back.
            let is_over = self.line.is_over.load(Ordering::SeqCst)
                && self.line.occupied.load(Ordering::SeqCst) == 0
                && state.held == self.held.load(Ordering::SeqCst);
            if is_over {
                state.is_told = true;
                return Poll::Ready(Ok(false));
            }
            state.receivers.add(self.id, cx.waker());
            return Poll::Pending;
        }
        // Others would wait for what this one does not come to.
        let together = if state.present == 1 { limits::BATCH.min(self.line.capacity / 8).max(1) } else { 1 };
        let together = together.min(state.items.len());
        self.taken.extend(state.items.drain(..together));
        Poll::Ready(Ok(true))
    }

    /// Leaves, and gives back what was not given out.
    pub(crate) fn leave(&mut self) {
        if std::mem::take(&mut self.is_present) {
            let mut state = self.line.state();
            state.present -= 1;
            state.is_exclusive = false;
            while let Some(entry) = self.taken.pop_back() {
                self.line.restore(&mut state, entry);
            }
        }
    }
}

impl<T> Drop for LineReceiver<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// An item that was given out, and its account.
pub(crate) type Given<T> = (Entry<T>, Held<T>);

/// The account of one item that was given out and is not acknowledged.
#[must_use]
pub(crate) struct Held<T> {
    line: Arc<Line<T>>,
    by: Arc<AtomicUsize>,
}

impl<T> Held<T> {
    pub(crate) fn ack(self) {
        let mut state = self.line.state();
        self.settle(&mut state);
        if state.items.is_empty() && self.line.is_over.load(Ordering::SeqCst) {
            state.receivers.wake();
        }
    }

    /// Gives it back. It takes a place again, whether or not one is free.
    pub(crate) fn release(self, entry: Entry<T>) {
        let mut state = self.line.state();
        self.settle(&mut state);
        self.line.occupied.fetch_add(1, Ordering::SeqCst);
        self.line.restore(&mut state, Entry { again: true, ..entry });
    }

    fn settle(&self, state: &mut State<T>) {
        state.held -= 1;
        self.by.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
