//! A way out of a topic or of a mailbox: what has come, until it is acknowledged.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use lapin::Channel;
use lapin::options::BasicAckOptions;
use tokio::sync::Notify;
use tokio::task::coop;

use super::Core;
use crate::{Delivery, Envelope, Inlet, Keeper, Receipt, TransportError, TransportResult, limits};

/// Who sent it, and its number: so what comes again over another connection is known.
type Identity = (Arc<str>, u64);

/// What the inlet, its receipts and the task that receives for it share.
pub(super) struct Arrived {
    state: Mutex<State>,
    /// There are acknowledgements to send, or the inlet wants something.
    pub(super) work: Notify,
    name: String,
}

#[derive(Default)]
struct State {
    /// That of what came; none between two connections.
    channel: Option<Channel>,
    /// What was not acknowledged, by our numbers.
    entries: HashMap<u64, Entry>,
    next: u64,
    /// What is to be given out, in order.
    waiting: VecDeque<u64>,
    /// The broker's tags of what is not settled.
    open: BTreeSet<u64>,
    /// And of what is, but not acknowledged to the broker.
    settled: Vec<u64>,
    /// What was acknowledged last: the broker need not have heard of it when the connection is lost.
    recent: VecDeque<Identity>,
    prefetch: usize,
    /// What was acknowledged over connections that were lost.
    lost: HashSet<Identity>,
    /// What was given out before the connection was lost.
    orphans: HashMap<Identity, u64>,
    /// What came and cannot be read.
    broken: VecDeque<TransportError>,
    /// What has come is the last.
    is_last: bool,
    /// The end of its topic was told to the task, which wants to know what becomes of what was given out.
    is_over: bool,
    /// Everything was received, and nothing comes any more.
    has_ended: bool,
    phase: Phase,
    waker: Option<Waker>,
    left: Option<Waker>,
}

struct Entry {
    envelope: Envelope,
    /// None: its connection was lost.
    tag: Option<u64>,
    again: bool,
}

impl Entry {
    fn identity(&self) -> Option<Identity> {
        (self.envelope.number > 0).then(|| (Arc::clone(&self.envelope.sender), self.envelope.number))
    }
}

#[derive(Debug, Clone, Default)]
pub(super) enum Phase {
    #[default]
    Open,
    /// It is to leave.
    Leaving,
    Left,
    Failed(TransportError),
}

/// What the task has to look after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// Acknowledgements wait to be sent.
    pub(super) flush: bool,
    /// So much was given out and not acknowledged.
    pub(super) held: usize,
    /// Nothing waits to be given out.
    pub(super) is_drained: bool,
    /// How many have come.
    pub(super) came: u64,
    pub(super) is_leaving: bool,
}

impl Arrived {
    pub(super) fn new(name: &str) -> Self {
        Self { state: Mutex::default(), work: Notify::new(), name: name.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes from now on comes over this channel.
    pub(super) fn connected(&self, channel: &Channel, prefetch: usize) {
        let mut state = self.lock();
        state.channel = Some(channel.clone());
        state.prefetch = prefetch;
    }

    /// The connection is gone: the broker gives out again what was not acknowledged.
    pub(super) fn disconnected(&self) {
        let mut state = self.lock();
        state.channel = None;
        state.open.clear();
        state.settled.clear();
        for id in std::mem::take(&mut state.waiting) {
            state.entries.remove(&id);
        }
        let State { entries, orphans, lost, recent, .. } = &mut *state;
        lost.extend(recent.drain(..));
        if lost.len() > limits::SEEN_AHEAD {
            lost.clear();
        }
        for (id, entry) in entries {
            entry.tag = None;
            if let Some(identity) = entry.identity() {
                orphans.insert(identity, *id);
            }
        }
    }

    /// It has come.
    pub(super) fn arrived(&self, envelope: Envelope, tag: u64, again: bool) {
        let mut state = self.lock();
        let state = &mut *state;
        state.open.insert(tag);
        let entry = Entry { envelope, tag: Some(tag), again };
        if again
            && (!state.lost.is_empty() || !state.orphans.is_empty())
            && let Some(identity) = entry.identity()
        {
            if state.lost.remove(&identity) {
                state.settle(tag);
                return;
            }
            if let Some(id) = state.orphans.remove(&identity)
                && let Some(held) = state.entries.get_mut(&id)
            {
                held.tag = Some(tag);
                return;
            }
        }
        let id = state.next;
        state.next += 1;
        state.entries.insert(id, entry);
        state.waiting.push_back(id);
        state.wake();
    }

    /// What came is for nobody here: it is told, if it is an error, and does not come again.
    pub(super) fn passed_over(&self, tag: u64, error: Option<TransportError>) {
        let mut state = self.lock();
        state.open.insert(tag);
        state.settle(tag);
        if let Some(error) = error {
            // More of them than may wait are of no more use.
            if state.broken.len() < limits::ACKS {
                state.broken.push_back(error);
            }
            state.wake();
        }
    }

    pub(super) fn needs(&self) -> Needs {
        let state = self.lock();
        Needs {
            flush: !state.settled.is_empty(),
            held: state.entries.len() - state.waiting.len(),
            is_drained: state.waiting.is_empty() && state.broken.is_empty(),
            came: state.next,
            is_leaving: matches!(state.phase, Phase::Leaving),
        }
    }

    /// Sends the acknowledgements that wait.
    pub(super) fn flush(&self) {
        self.lock().flush();
    }

    /// Everything was received.
    pub(super) fn ended(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        state.wake();
    }

    /// Nothing comes after what has come.
    pub(super) fn last(&self) {
        let mut state = self.lock();
        state.is_last = true;
        state.wake();
    }

    /// The topic has ended.
    pub(super) fn over(&self) {
        self.lock().is_over = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    pub(super) fn end(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.channel = None;
        state.wake();
        state.left.take().into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    fn settle(&mut self, tag: u64) {
        if self.open.remove(&tag) {
            self.settled.push(tag);
        }
    }

    /// One acknowledgement for all that lie below the first that is open, one for each of the others.
    fn flush(&mut self) {
        let Some(channel) = &self.channel else { return };
        let mut settled = std::mem::take(&mut self.settled);
        settled.sort_unstable();
        let below = self.open.first().map_or(settled.len(), |first| settled.partition_point(|tag| tag < first));
        if let Some(last) = below.checked_sub(1) {
            hand_over(channel.basic_ack(settled[last], BasicAckOptions { multiple: below > 1 }));
        }
        for tag in &settled[below..] {
            hand_over(channel.basic_ack(*tag, BasicAckOptions { multiple: false }));
        }
    }
}

/// Hands a frame over. It is sent in any case, or the channel is lost, which the task notices.
fn hand_over<T>(frame: impl Future<Output = T>) {
    let _ = pin!(frame).poll(&mut Context::from_waker(Waker::noop()));
}

impl Keeper for Arrived {
    fn ack(&self, id: u64) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.entries.remove(&id) else { return };
        match (entry.tag, entry.identity()) {
            (Some(tag), identity) => {
                state.settle(tag);
                if let Some(identity) = identity {
                    // Consumers before this one had half of it altogether, or less.
                    while state.recent.len() >= (2 * state.prefetch).max(1) {
                        state.recent.pop_front();
                    }
                    state.recent.push_back(identity);
                }
                if state.settled.len() >= limits::ACKS.min(state.prefetch / 4).max(1) {
                    state.flush();
                }
                if state.is_over || state.settled.len() == 1 {
                    self.work.notify_one();
                }
            }
            (None, Some(identity)) => {
                state.orphans.remove(&identity);
                state.lost.insert(identity);
            }
            (None, None) => {}
        }
    }

    fn release(&self, id: u64) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.entries.get_mut(&id) else { return };
        if entry.tag.is_none() {
            // It comes again by itself.
            if let Some(identity) = entry.identity() {
                state.orphans.remove(&identity);
            }
            state.entries.remove(&id);
            return;
        }
        entry.again = true;
        let at = state.waiting.partition_point(|other| *other < id);
        state.waiting.insert(at, id);
        state.wake();
    }
}

/// A way out of a topic or of a mailbox.
pub(super) struct AmqpInlet {
    arrived: Arc<Arrived>,
    _core: Arc<Core>,
}

impl AmqpInlet {
    pub(super) fn new(arrived: Arc<Arrived>, core: Arc<Core>) -> Self {
        Self { arrived, _core: core }
    }
}

impl Inlet for AmqpInlet {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        let budget = ready!(coop::poll_proceed(cx));
        let mut state = self.arrived.lock();
        let state = &mut *state;
        match &state.phase {
            Phase::Open => {}
            Phase::Leaving | Phase::Left => return Poll::Ready(Ok(None)),
            Phase::Failed(error) => return Poll::Ready(Err(error.clone())),
        }
        if state.has_ended {
            return Poll::Ready(Ok(None));
        }
        if let Some(error) = state.broken.pop_front() {
            return Poll::Ready(Err(error));
        }
        let next = state.waiting.pop_front();
        if let Some((id, entry)) = next.and_then(|id| state.entries.get(&id).map(|entry| (id, entry))) {
            budget.made_progress();
            let receipt = Receipt::new(Arc::clone(&self.arrived) as _, id);
            return Poll::Ready(Ok(Some(Delivery::new(entry.envelope.clone(), receipt).with_again(entry.again))));
        }
        if state.is_last {
            state.has_ended = true;
            return Poll::Ready(Ok(None));
        }
        // Who waits for more has dealt with what there was.
        state.flush();
        state.waker = Some(cx.waker().clone());
        if state.is_over || state.entries.len() >= state.prefetch {
            self.arrived.work.notify_one();
        }
        Poll::Pending
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let mut state = self.arrived.lock();
        match &state.phase {
            Phase::Left | Phase::Failed(TransportError::Closed) => return Poll::Ready(Ok(())),
            Phase::Failed(error) => return Poll::Ready(Err(error.clone())),
            Phase::Leaving => {}
            Phase::Open => {
                state.phase = Phase::Leaving;
                self.arrived.work.notify_one();
            }
        }
        state.left = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for AmqpInlet {
    fn drop(&mut self) {
        let mut state = self.arrived.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Leaving;
            self.arrived.work.notify_one();
        }
    }
}

impl fmt::Debug for AmqpInlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpInlet").field("of", &self.arrived.name).finish_non_exhaustive()
    }
}
