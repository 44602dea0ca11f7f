//! Acknowledgements of tasks, as few frames as they fit in; and replies, which leave after them.

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use tokio::sync::Notify;

use super::publish::Message;

/// The unacknowledged tasks of one channel.
#[derive(Default)]
pub(super) struct Acks {
    state: Mutex<State>,
    some: Notify,
}

#[derive(Default)]
struct State {
    /// None if it is gone: the broker has put back what was not acknowledged.
    channel: Option<Channel>,
    unacked: Unacked,
    after: Vec<Arc<Message>>,
}

/// Which deliveries are open, and which are settled but not yet acknowledged.
#[derive(Debug, Default)]
struct Unacked {
    open: BTreeSet<u64>,
    settled: Vec<u64>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ack {
    tag: u64,
    multiple: bool,
}

impl Unacked {
    /// What to send: one for all that lie below the first that is open, one for each of the others.
    fn flush(&mut self) -> Vec<Ack> {
        let mut settled = std::mem::take(&mut self.settled);
        settled.sort_unstable();
        let below = match self.open.first() {
            Some(first) => settled.partition_point(|tag| tag < first),
            None => settled.len(),
        };
        let mut acks = Vec::new();
        if let Some(tag) = below.checked_sub(1).and_then(|last| settled.get(last)) {
            acks.push(Ack { tag: *tag, multiple: below > 1 });
        }
        acks.extend(settled.iter().skip(below).map(|tag| Ack { tag: *tag, multiple: false }));
        acks
    }
}

impl Acks {
    pub(super) fn new(channel: Channel) -> Self {
        let state = State { channel: Some(channel), ..State::default() };
        Self { state: Mutex::new(state), some: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the channel is gone.
    pub(super) fn is_dead(&self) -> bool {
        self.lock().channel.is_none()
    }

    /// A task has come.
    pub(super) fn delivered(&self, tag: u64) {
        self.lock().unacked.open.insert(tag);
    }

    /// It is to be acknowledged, with the next flush. If the channel is gone, the task comes again.
    pub(super) fn settle(&self, tag: u64) {
        let mut state = self.lock();
        if state.unacked.open.remove(&tag) {
            state.unacked.settled.push(tag);
        }
    }

    /// Has the thread of the communicator flush what gathers until it gets there.
    pub(super) fn flush_soon(&self) {
        self.some.notify_one();
    }

    /// It goes back to its queue.
    pub(super) fn requeue(&self, tag: u64) {
        let mut state = self.lock();
        if state.unacked.open.remove(&tag)
            && let Some(channel) = &state.channel
        {
            send(channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }));
        }
    }

    /// It cannot be read: the broker drops it, or dead-letters it.
    pub(super) fn reject(&self, tag: u64) {
        let mut state = self.lock();
        if state.unacked.open.remove(&tag)
            && let Some(channel) = &state.channel
        {
            send(channel.basic_reject(tag, BasicRejectOptions { requeue: false }));
        }
    }

    /// Sends a message with the next flush, after the acknowledgements that were made before; gives it back if there is no channel for them
    /// any more.
    pub(super) fn after(&self, message: Arc<Message>) -> Option<Arc<Message>> {
        let mut state = self.lock();
        if state.channel.is_none() {
            return Some(message);
        }
        state.after.push(message);
        None
    }

    /// Ends when something is to be flushed by the thread of the communicator.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }

    /// Sends the acknowledgements; gives what is to be sent after them.
    pub(super) fn flush(&self) -> Vec<Arc<Message>> {
        let mut state = self.lock();
        let acks = state.unacked.flush();
        if let Some(channel) = &state.channel {
            for Ack { tag, multiple } in acks {
                send(channel.basic_ack(tag, BasicAckOptions { multiple }));
            }
        }
        std::mem::take(&mut state.after)
    }

    /// The channel is gone, and nothing of it is kept; gives what was to be sent.
    pub(super) fn die(&self) -> Vec<Arc<Message>> {
        let mut state = self.lock();
        std::mem::take(&mut *state).after
    }
}

/// Hands a frame over. It is sent in any case, or the channel is lost, which others notice.
pub(super) fn send<T>(frame: impl Future<Output = T>) {
    let _ = pin!(frame).poll(&mut Context::from_waker(Waker::noop()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(open: &[u64], settled: &[u64], expected: &[(u64, bool)]) {
        let mut unacked = Unacked { open: open.iter().copied().collect(), settled: settled.to_vec() };
        let acks: Vec<_> = unacked.flush().into_iter().map(|ack| (ack.tag, ack.multiple)).collect();
        assert_eq!(acks, expected, "open {open:?}, settled {settled:?}");
        assert!(unacked.settled.is_empty());
    }

    #[test]
    fn acknowledges_together_what_lies_below_the_first_open_task() {
        check(&[], &[], &[]);
        check(&[], &[3], &[(3, false)]);
        check(&[], &[3, 1, 2], &[(3, true)]);
        check(&[4], &[3, 1, 5], &[(3, true), (5, false)]);
        check(&[1], &[2, 3], &[(2, false), (3, false)]);
    }
}
