//! The ends of topics that carry envelopes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use super::line::{Entry, Held, Line, LineReceiver, LineSender, Stopped};
use super::{Use, Way, stopped};
use crate::{Delivery, Envelope, Inlet, Keeper, Outlet, Receipt, TransportError, TransportResult};

/// Into a pipeline.
#[derive(Debug)]
pub(super) struct LocalOutlet {
    sender: LineSender<Envelope>,
    topic: String,
    // Dropped after the sender has left.
    _used: Use,
}

impl LocalOutlet {
    pub(super) fn new(sender: LineSender<Envelope>, used: Use, topic: String) -> Self {
        Self { sender, topic, _used: used }
    }
}

impl Outlet for LocalOutlet {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        if !self.sender.is_open() {
            return Poll::Ready(Err(TransportError::Closed));
        }
        let room = ready!(self.sender.line().poll_room(self.sender.id(), cx));
        Poll::Ready(room.map_err(|error| stopped(error, &self.topic)))
    }

    fn start_send(&mut self, envelope: Envelope) -> TransportResult<()> {
        if !self.sender.is_open() || self.sender.line().is_shut() {
            return Err(TransportError::Closed);
        }
        self.sender.line().put(envelope);
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<TransportResult<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.sender.close();
        Poll::Ready(Ok(()))
    }
}

/// The subscribers of a topic, each with a line of its own.
pub(super) struct Fan {
    state: Mutex<FanState>,
    capacity: usize,
}

#[derive(Default)]
struct FanState {
    lines: Vec<Arc<Line<Envelope>>>,
    open: usize,
    is_over: bool,
    is_shut: bool,
}

impl Fan {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), capacity }
    }

    fn state(&self) -> MutexGuard<'_, FanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another subscriber; where all publishers have closed, it is told so at once.
    pub(super) fn subscribe(self: &Arc<Self>) -> Result<LineReceiver<Envelope>, Stopped> {
        let mut state = self.state();
        if state.is_shut {
            return Err(Stopped::Shut);
        }
        let line = Arc::new(Line::new(self.capacity));
        for _ in 0..state.open {
            line.open()?;
        }
        if state.is_over {
            line.open()?;
            line.close();
        }
        state.prune();
        state.lines.push(Arc::clone(&line));
        LineReceiver::new(line)
    }
}

impl FanState {
    /// Forgets subscribers that have gone.
    fn prune(&mut self) {
        self.lines.retain(|line| !line.is_shut());
    }
}

impl Way for Fan {
    fn shut(&self) {
        let mut state = self.state();
        state.is_shut = true;
        state.lines.iter().for_each(|line| line.shut());
    }

    fn is_spent(&self) -> bool {
        true
    }
}

/// Into a topic with subscribers.
pub(super) struct PubSubOutlet {
    fan: Arc<Fan>,
    id: u64,
    is_open: bool,
    topic: String,
    _used: Use,
}

impl fmt::Debug for PubSubOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubOutlet").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl PubSubOutlet {
    pub(super) fn new(fan: Arc<Fan>, used: Use, topic: String) -> TransportResult<Self> {
        let mut state = fan.state();
        state.prune();
        if state.is_shut {
            return Err(TransportError::Closed);
        }
        if state.is_over {
            if !state.lines.is_empty() {
                return Err(TransportError::Ended { topic });
            }
            state.is_over = false;
        }
        state.open += 1;
        for line in &state.lines {
            // It is not over, as the topic is not.
            let _ = line.open();
        }
        drop(state);
        let id = super::line::end_id();
        Ok(Self { fan, id, is_open: true, topic, _used: used })
    }

    /// It does not publish any more; whether that is the end, if it was the last, is said by `ends`.
    fn leave(&mut self, ends: bool) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let mut state = self.fan.state();
        state.open -= 1;
        state.is_over = ends && state.open == 0;
        for line in &state.lines {
            if ends { line.close() } else { line.leave() }
        }
    }
}

impl Outlet for PubSubOutlet {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        if !self.is_open {
            return Poll::Ready(Err(TransportError::Closed));
        }
        let mut state = self.fan.state();
        if state.is_shut {
            return Poll::Ready(Err(TransportError::Closed));
        }
        state.prune();
        for line in &state.lines {
            match ready!(line.poll_room(self.id, cx)) {
                // Where it is shut, its subscriber is about to be gone.
                Ok(()) | Err(Stopped::Shut) => {}
                Err(over @ Stopped::Over) => return Poll::Ready(Err(stopped(over, &self.topic))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, envelope: Envelope) -> TransportResult<()> {
        if !self.is_open {
            return Err(TransportError::Closed);
        }
        let state = self.fan.state();
        if state.is_shut {
            return Err(TransportError::Closed);
        }
        state.lines.iter().for_each(|line| line.put(envelope.clone()));
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<TransportResult<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.leave(true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for PubSubOutlet {
    fn drop(&mut self) {
        self.leave(false);
    }
}

/// Out of a topic, or of a mailbox.
#[derive(Debug)]
pub(super) struct LocalInlet {
    receiver: LineReceiver<Envelope>,
    unsettled: Arc<Unsettled>,
    has_ended: bool,
    /// Whether nobody else ever receives from its line.
    is_alone: bool,
    // Dropped after the receiver has left.
    _used: Option<Use>,
}

impl LocalInlet {
    pub(super) fn new(receiver: LineReceiver<Envelope>, is_alone: bool, used: Option<Use>) -> Self {
        Self { receiver, unsettled: Arc::default(), has_ended: false, is_alone, _used: used }
    }

    fn leave(&mut self) {
        self.has_ended = true;
        self.receiver.leave();
        if self.is_alone {
            self.receiver.line().shut();
        }
    }

    pub(super) fn line(&self) -> &Arc<Line<Envelope>> {
        self.receiver.line()
    }
}

impl Inlet for LocalInlet {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        if self.has_ended {
            return Poll::Ready(Ok(None));
        }
        match ready!(self.receiver.poll_hold(cx)) {
            Ok(Some((entry, held))) => {
                let (number, again) = (entry.number, entry.again);
                let envelope = entry.value.clone();
                self.unsettled.lock().insert(number, (entry, held));
                let receipt = Receipt::new(Arc::clone(&self.unsettled) as _, number);
                Poll::Ready(Ok(Some(Delivery::new(envelope, receipt).with_again(again))))
            }
            Ok(None) => {
                self.has_ended = true;
                Poll::Ready(Ok(None))
            }
            Err(_) => Poll::Ready(Err(TransportError::Closed)),
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.leave();
        Poll::Ready(Ok(()))
    }
}

impl Drop for LocalInlet {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What was given out, until its receipt is used.
#[derive(Default)]
struct Unsettled(Mutex<Given>);

type Given = HashMap<u64, (Entry<Envelope>, Held<Envelope>)>;

impl Unsettled {
    fn lock(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsettled").finish_non_exhaustive()
    }
}

impl Keeper for Unsettled {
    fn ack(&self, tag: u64) {
        let settled = self.lock().remove(&tag);
        if let Some((_, held)) = settled {
            held.ack();
        }
    }

    fn release(&self, tag: u64) {
        let settled = self.lock().remove(&tag);
        if let Some((entry, held)) = settled {
            held.release(entry);
        }
    }
}
