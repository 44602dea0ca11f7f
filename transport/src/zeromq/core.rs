//! What the outlets of one topic share: a connection to each inlet, and what found no room yet.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::runtime::Handle;
use tokio::task::coop;
use zmq::Message;

use super::news::{News, wait_in};
use super::plug::{Plug, failed};
use super::wire::Place;
use crate::{Envelope, Mode, TransportError, TransportResult, limits};

/// Shared by the outlets of a topic, so that what one sends after another comes after it, and by the task that sends
/// what found no room,
/// so that it goes on its way also while nobody asks an outlet.
#[derive(Clone)]
pub(super) struct Core(Arc<Mutex<State>>);

pub(super) struct State {
    /// `None` when the transport is closed.
    context: Option<zmq::Context>,
    news: Arc<News>,
    mode: Mode,
    /// The first frame.
    topic: Vec<u8>,
    capacity: usize,
    pipes: Vec<Pipe>,
    /// Whose turn it is.
    next: usize,
    /// What of a pipeline found no room with any inlet.
    backlog: VecDeque<Item>,
    head: BytesMut,
    stopped: Option<TransportError>,
    /// Whether a task sends what waits.
    is_flushing: bool,
    /// Who waits for room, or until all is on its way.
    waiting: Vec<Waker>,
    runtime: Handle,
}

/// What waits for room.
#[derive(Clone)]
struct Item {
    /// The outlet whose end it is; otherwise it is an envelope.
    ends: Option<u64>,
    bytes: Vec<u8>,
}

/// The connection to an inlet.
struct Pipe {
    inlet: u64,
    plug: Plug,
    /// What is only for this inlet and found no room.
    stalled: VecDeque<Item>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Core").field("inlets", &state.pipes.len()).field("waits", &state.backlog.len()).finish()
    }
}

/// The marks of both sides together are the capacity.
pub(super) fn high_water(capacity: usize) -> i32 {
    i32::try_from(capacity.div_ceil(2)).unwrap_or(i32::MAX).max(1)
}

/// What the kernel keeps on the way.
pub(super) fn kernel_bytes(capacity: usize) -> i32 {
    let bytes = capacity.saturating_mul(limits::ZMQ_KERNEL_BYTES_EACH);
    i32::try_from(bytes.clamp(limits::ZMQ_KERNEL_BYTES_MIN, limits::ZMQ_KERNEL_BYTES_MAX)).unwrap_or(i32::MAX)
}

/// One frame of a head and a body, with as few copies as go.
fn frame(head: &[u8], body: &[u8]) -> Message {
    if body.len() >= limits::ZMQ_COPY_BYTES {
        return Message::from(whole(head, body));
    }
    let mut message = Message::with_size(head.len() + body.len());
    let (first, second) = message.split_at_mut(head.len());
    first.copy_from_slice(head);
    second.copy_from_slice(body);
    message
}

fn whole(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(head.len() + body.len());
    whole.extend_from_slice(head);
    whole.extend_from_slice(body);
    whole
}

impl Pipe {
    /// Sends the oldest of these; whether there was one, and room for it.
    fn send_from(&self, topic: &[u8], waits: &mut VecDeque<Item>) -> TransportResult<bool> {
        if waits.is_empty() || !self.plug.try_first(topic)? {
            return Ok(false);
        }
        let Some(oldest) = waits.pop_front() else { return Ok(false) };
        self.plug.last(Message::from(oldest.bytes))?;
        Ok(true)
    }

    /// Nobody is there any more: what is on its way need not arrive.
    fn cut(self) {
        // Where it cannot be set, it goes on trying for a while.
        let _ = self.plug.socket().set_linger(0);
    }
}

impl State {
    /// Heeds what the host told.
    fn refresh(&mut self) -> TransportResult<()> {
        if let Some(told) = self.news.take() {
            for inlet in told.removed {
                self.cut(inlet);
            }
            if let Some(why) = told.stopped {
                if matches!(why, TransportError::NoSuchAddress { .. }) {
                    // What is still on its way there would be waited for without end.
                    self.pipes.drain(..).for_each(Pipe::cut);
                }
                self.stopped = Some(why);
            }
            for place in told.added {
                if let Err(error) = self.connect(&place) {
                    self.stopped.get_or_insert(error);
                }
            }
        }
        self.stopped.clone().map_or(Ok(()), Err)
    }

    fn cut(&mut self, inlet: u64) {
        if let Some(at) = self.pipes.iter().position(|pipe| pipe.inlet == inlet) {
            self.pipes.swap_remove(at).cut();
            self.next = 0;
        }
    }

    fn connect(&mut self, (inlet, at): &Place) -> TransportResult<()> {
        if self.pipes.iter().any(|pipe| pipe.inlet == *inlet) {
            return Ok(());
        }
        let context = self.context.as_ref().ok_or(TransportError::Closed)?;
        let socket = context.socket(zmq::PUSH).map_err(failed("making a socket"))?;
        let set = || {
            socket.set_sndhwm(high_water(self.capacity))?;
            socket.set_sndbuf(kernel_bytes(self.capacity))?;
            // All that was sent arrives, if anyone is there; who was lost is not looked for, as its port may be
            // another's now.
            socket.set_linger(-1)?;
            socket.set_reconnect_ivl(-1)?;
            socket.connect(at)
        };
        set().map_err(failed("connecting to an inlet"))?;
        self.pipes.push(Pipe { inlet: *inlet, plug: Plug::new(socket)?, stalled: VecDeque::new() });
        Ok(())
    }

    fn has_room(&self) -> bool {
        match self.mode {
            Mode::Pipeline if self.pipes.is_empty() => self.backlog.len() < self.capacity,
            Mode::Pipeline => self.backlog.is_empty(),
            Mode::PubSub => self.pipes.iter().all(|pipe| pipe.stalled.is_empty()),
        }
    }

    /// Whether all is on its way.
    fn is_flushed(&self) -> bool {
        self.backlog.is_empty() && self.pipes.iter().all(|pipe| pipe.stalled.is_empty())
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<TransportResult<()>> {
        self.refresh()?;
        if self.has_room() {
            return Poll::Ready(Ok(()));
        }
        wait_in(&mut self.waiting, cx.waker());
        Poll::Pending
    }

    fn send(&mut self, envelope: &Envelope) -> TransportResult<()> {
        self.refresh()?;
        self.head.clear();
        envelope.encode_head(&mut self.head)?;
        if self.mode == Mode::PubSub {
            for pipe in &mut self.pipes {
                if pipe.stalled.is_empty() && pipe.plug.try_first(&self.topic)? {
                    pipe.plug.last(frame(&self.head, &envelope.body))?;
                } else {
                    pipe.stalled.push_back(Item { ends: None, bytes: whole(&self.head, &envelope.body) });
                }
            }
            return Ok(());
        }
        for _ in 0..if self.backlog.is_empty() { self.pipes.len() } else { 0 } {
            self.next = if self.next + 1 < self.pipes.len() { self.next + 1 } else { 0 };
            let pipe = &self.pipes[self.next];
            if pipe.plug.try_first(&self.topic)? {
                return pipe.plug.last(frame(&self.head, &envelope.body));
            }
        }
        self.backlog.push_back(Item { ends: None, bytes: whole(&self.head, &envelope.body) });
        Ok(())
    }

    /// Sends what has room by now; whether any had.
    fn advance(&mut self) -> TransportResult<bool> {
        let mut has_moved = false;
        for pipe in &mut self.pipes {
            let mut stalled = std::mem::take(&mut pipe.stalled);
            while pipe.send_from(&self.topic, &mut stalled)? {
                has_moved = true;
            }
            pipe.stalled = stalled;
        }
        let mut full = 0;
        while full < self.pipes.len() {
            let Some(first) = self.backlog.front() else { break };
            if first.ends.is_some() {
                // All that was sent before it has found its way: so can it, to each inlet.
                if let Some(end) = self.backlog.pop_front() {
                    self.pipes.iter_mut().for_each(|pipe| pipe.stalled.push_back(end.clone()));
                }
                return self.advance();
            }
            self.next = if self.next + 1 < self.pipes.len() { self.next + 1 } else { 0 };
            let is_sent = self.pipes[self.next].send_from(&self.topic, &mut self.backlog)?;
            (has_moved, full) = if is_sent { (true, 0) } else { (has_moved, full + 1) };
        }
        Ok(has_moved)
    }

    /// Sends what waits, until there is nothing more, or no reason to go on.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let moved = self.refresh().and_then(|()| self.advance());
            if let Err(error) = &moved {
                self.stopped.get_or_insert_with(|| error.clone());
            }
            if self.stopped.is_some() || self.is_flushed() {
                self.is_flushing = false;
                self.wake();
                return Poll::Ready(());
            }
            // Also who waits for an end to be on its way.
            if self.has_room() || matches!(moved, Ok(true)) {
                self.wake();
            }
            let mut has_changed = self.news.wait(cx.waker());
            for pipe in self.pipes.iter().filter(|pipe| !self.backlog.is_empty() || !pipe.stalled.is_empty()) {
                // An error is found again where it is sent.
                has_changed |= pipe.plug.poll_change(cx).is_ready();
            }
            if !has_changed {
                return Poll::Pending;
            }
        }
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Core {
    pub(super) fn new(
        context: Option<zmq::Context>,
        news: Arc<News>,
        (topic, mode, capacity): (&str, Mode, usize),
        runtime: Handle,
    ) -> Self {
        Self(Arc::new(Mutex::new(State {
            context,
            news,
            mode,
            topic: topic.as_bytes().to_vec(),
            capacity,
            pipes: Vec::new(),
            next: 0,
            backlog: VecDeque::new(),
            head: BytesMut::new(),
            stopped: None,
            is_flushing: false,
            waiting: Vec::new(),
            runtime,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn news(&self) -> Arc<News> {
        Arc::clone(&self.lock().news)
    }

    /// Whether it is of such a topic.
    pub(super) fn fits(&self, mode: Mode, capacity: usize) -> bool {
        let state = self.lock();
        state.mode == mode && state.capacity == capacity && state.stopped.is_none()
    }

    /// Hangs up on inlets that are not among these: nobody was told while there was no outlet.
    pub(super) fn keep_only(&self, places: &[Place]) {
        let mut state = self.lock();
        let _ = state.refresh();
        let gone = |pipe: &&Pipe| !places.iter().any(|(id, _)| *id == pipe.inlet);
        let gone: Vec<u64> = state.pipes.iter().filter(gone).map(|pipe| pipe.inlet).collect();
        for inlet in gone {
            state.cut(inlet);
        }
    }

    pub(super) fn downgrade(&self) -> std::sync::Weak<Mutex<State>> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn of(state: Arc<Mutex<State>>) -> Self {
        Self(state)
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether anyone else has it.
    pub(super) fn is_used(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let budget = ready!(coop::poll_proceed(cx));
        ready!(self.lock().poll_room(cx))?;
        budget.made_progress();
        Poll::Ready(Ok(()))
    }

    pub(super) fn send(&self, envelope: &Envelope) -> TransportResult<()> {
        let mut state = self.lock();
        let sent = state.send(envelope);
        self.see_to(&mut state);
        sent
    }

    /// Waits for room and sends, for one of several who do.
    pub(super) fn poll_send(&self, envelope: &Envelope, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let budget = ready!(coop::poll_proceed(cx));
        let mut state = self.lock();
        ready!(state.poll_room(cx))?;
        budget.made_progress();
        let sent = state.send(envelope);
        self.see_to(&mut state);
        Poll::Ready(sent)
    }

    /// Whether it is stopped, as far as is known by now.
    pub(super) fn check(&self) -> TransportResult<()> {
        self.lock().refresh()
    }

    /// Where anything waits, a task sees to it that it goes on.
    fn see_to(&self, state: &mut State) {
        if !state.is_flushing && !state.is_flushed() && state.stopped.is_none() {
            state.is_flushing = true;
            let core = self.clone();
            state.runtime.spawn(async move {
                poll_fn(|cx| core.lock().poll_flush(cx)).await;
                if !core.is_used() {
                    // The last to have it waits until all is sent, which no task may, and no thread that anyone waits for.
                    std::thread::spawn(move || drop(core));
                }
            });
        }
    }

    /// Whether anything waits for an inlet.
    pub(super) fn holds(&self) -> bool {
        let mut state = self.lock();
        let _ = state.refresh();
        !state.backlog.is_empty()
    }

    /// After all that waits now, each inlet gets the mark that ends an outlet; `waits`: where there is none, the one
    /// that comes next.
    pub(super) fn end(&self, outlet: u64, waits: bool, mark: Vec<u8>) -> TransportResult<()> {
        let mut state = self.lock();
        state.refresh()?;
        if waits || !state.pipes.is_empty() {
            let end = Item { ends: Some(outlet), bytes: mark };
            if state.mode == Mode::Pipeline {
                state.backlog.push_back(end);
            } else {
                state.pipes.iter_mut().for_each(|pipe| pipe.stalled.push_back(end.clone()));
            }
        }
        self.see_to(&mut state);
        Ok(())
    }

    /// Waits until the end of an outlet is on its way to all.
    pub(super) async fn drain(&self, outlet: u64) -> TransportResult<()> {
        let is_end = |item: &Item| item.ends == Some(outlet);
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(error) = state.stopped.clone() {
                return Poll::Ready(Err(error));
            }
            if !state.backlog.iter().chain(state.pipes.iter().flat_map(|pipe| &pipe.stalled)).any(is_end) {
                return Poll::Ready(Ok(()));
            }
            wait_in(&mut state.waiting, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// The transport is closed: no socket stays; whether anything waited that cannot be sent any more.
    pub(super) fn halt(&self) -> bool {
        let mut state = self.lock();
        let was_flushed = state.is_flushed();
        state.context = None;
        state.pipes.clear();
        state.backlog.clear();
        state.stopped.get_or_insert(TransportError::Closed);
        state.wake();
        !was_flushed
    }
}
