//! Joins the streams of processes with the transport: what has come waits here for its process, what is committed leaves from here.
//!
//! A process that has streams has a [`Joint`], with a task for each port that is in use. The tasks hold no slot, and the joint stays
//! where the process is in the store alone; what comes wakes it.

mod boundary;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use procession_transport::{Delivery, Envelope, Outlet, Topic, Transport, TransportError, TransportResult};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::shared::Shared;
use crate::limits;
use crate::process::ProcessId;
use crate::stream::{In, Line, Out, StreamError, Streams};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The joints of a runtime.
pub(crate) struct Hub {
    transport: Arc<dyn Transport>,
    shared: OnceLock<Weak<Shared>>,
    /// Processes survive the OS process, and what is on its way between them does not: said once.
    warns: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    joints: HashMap<ProcessId, Arc<Joint>>,
    /// Of processes that have ended, and whose last items still leave.
    leaving: Vec<Weak<Joint>>,
    is_closed: bool,
}

impl Hub {
    pub(crate) fn new(transport: Arc<dyn Transport>, is_stored: bool) -> Arc<Self> {
        let warns = AtomicBool::new(is_stored && !transport.capabilities().durable);
        Arc::new(Self { transport, shared: OnceLock::new(), warns, table: Mutex::default() })
    }

    pub(super) fn belong_to(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    pub(super) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// The joint of a process with these streams.
    pub(super) fn joint(&self, pid: &ProcessId, streams: &Streams) -> Arc<Joint> {
        if self.warns.swap(false, Ordering::Relaxed) {
            let transport = self.transport.capabilities().name;
            tracing::warn!(transport, "items on their way between stored processes are lost with this OS process");
        }
        let mut table = lock(&self.table);
        let is_closed = table.is_closed;
        let new = || Arc::new(Joint::new(self, pid, streams, is_closed));
        Arc::clone(table.joints.entry(pid.clone()).or_insert_with(new))
    }

    /// A process is not here any more. What it has sent goes on leaving if it has ended; otherwise it is sent by who goes on with it.
    pub(super) fn forget(&self, pid: &ProcessId, has_ended: bool) {
        let mut table = lock(&self.table);
        let Some(joint) = table.joints.remove(pid) else { return };
        if has_ended {
            table.leaving.retain(|joint| joint.strong_count() > 0);
            table.leaving.push(Arc::downgrade(&joint));
        }
        drop(table);
        if has_ended { joint.leave() } else { joint.close() }
    }

    /// Nothing comes and nothing leaves any more.
    pub(super) fn close(&self) {
        let mut table = lock(&self.table);
        table.is_closed = true;
        let joints: Vec<_> = table.joints.drain().map(|(_, joint)| joint).collect();
        let leaving: Vec<_> = table.leaving.drain(..).collect();
        drop(table);
        joints.into_iter().chain(leaving.iter().filter_map(Weak::upgrade)).for_each(|joint| joint.close());
    }
}

/// What joins one process with the transport.
pub(crate) struct Joint {
    pid: ProcessId,
    transport: Arc<dyn Transport>,
    shared: Weak<Shared>,
    ends: Mutex<Ends>,
    /// The ends have changed.
    changed: Notify,
}

#[derive(Default)]
struct Ends {
    arrivals: Vec<Arrivals>,
    departures: Vec<Departures>,
    /// Something is to wake the process.
    is_watched: bool,
    /// What cannot be mended by waiting; told once.
    fault: Option<StreamError>,
    is_closed: bool,
}

/// What has come at a port, and is not in the state of the process yet.
struct Arrivals {
    name: &'static str,
    task: Option<AbortHandle>,
    queue: VecDeque<Delivery>,
    is_over: bool,
    room: Arc<Notify>,
}

/// What leaves by a port.
struct Departures {
    name: &'static str,
    /// With which its items are told from those of others.
    sender: Arc<str>,
    task: Option<AbortHandle>,
    /// What the transport has not said to have.
    queue: VecDeque<Envelope>,
    /// So many of it were handed to the transport.
    under_way: usize,
    /// The last number that was put into the queue.
    handed: u64,
    /// The transport has all up to this number.
    safe: u64,
    /// The number of the end.
    end: Option<u64>,
    /// It failed for good: nothing leaves any more.
    is_dead: bool,
    news: Arc<Notify>,
}

impl Departures {
    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| end <= self.safe)
    }
}

impl Joint {
    fn new(hub: &Hub, pid: &ProcessId, streams: &Streams, is_closed: bool) -> Self {
        let arrivals = streams.ins.iter().map(|port| Arrivals {
            name: port.name,
            task: None,
            queue: VecDeque::new(),
            is_over: false,
            room: Arc::default(),
        });
        let departures = streams.outs.iter().map(|port| Departures {
            name: port.name,
            sender: format!("{pid}.{}", port.name).into(),
            task: None,
            queue: VecDeque::new(),
            under_way: 0,
            handed: port.before(),
            safe: port.before(),
            end: None,
            is_dead: false,
            news: Arc::default(),
        });
        let ends =
            Ends { arrivals: arrivals.collect(), departures: departures.collect(), is_closed, ..Ends::default() };
        let shared = hub.shared.get().cloned().unwrap_or_default();
        Self {
            pid: pid.clone(),
            transport: Arc::clone(&hub.transport),
            shared,
            ends: Mutex::new(ends),
            changed: Notify::new(),
        }
    }

    /// Lets leave what is committed, and come what is waited for.
    pub(super) fn attend(self: &Arc<Self>, streams: &Streams) {
        let mut ends = lock(&self.ends);
        if ends.is_closed {
            return;
        }
        for (at, (out, departures)) in streams.outs.iter().zip(&mut ends.departures).enumerate() {
            self.hand(at, out, departures);
        }
        for (at, (port, arrivals)) in streams.ins.iter().zip(&mut ends.arrivals).enumerate() {
            if port.wants > 0 && arrivals.task.is_none() && !port.is_over() {
                arrivals.task = self.spawn(&port.line, arrive, at);
            }
            if port.is_over()
                && let Some(task) = arrivals.task.take()
            {
                task.abort();
                arrivals.queue.clear();
            }
        }
    }

    fn hand(self: &Arc<Self>, at: usize, out: &Out, departures: &mut Departures) {
        if departures.is_dead {
            return;
        }
        let envelopes = out.beyond(departures.handed, &departures.sender);
        departures.end = out.end();
        let Some(last) = envelopes.last() else { return };
        departures.handed = last.number;
        departures.queue.extend(envelopes);
        if departures.task.is_none() {
            departures.task = self.spawn(&out.line, depart, at);
        }
        departures.news.notify_one();
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        line: &Line,
        task: impl FnOnce(Arc<Self>, usize, Topic) -> F,
        at: usize,
    ) -> Option<AbortHandle> {
        // Its name was looked at when the process was launched.
        let (shared, topic) = (self.shared.upgrade()?, line.topic().ok()?);
        Some(shared.tokio.spawn(task(Arc::clone(self), at, topic)).abort_handle())
    }

    /// Whether the process can go on: nothing that it waits for is missing, and not too much leaves. If not, it is woken when
    /// something has changed.
    pub(super) fn is_ready(&self, streams: &Streams, waits: bool, ahead: usize) -> bool {
        let mut ends = lock(&self.ends);
        let has_come = |port: &In, arrivals: &Arrivals| {
            port.wants > 0 && (port.has_some() || !arrivals.queue.is_empty() || arrivals.is_over)
        };
        let is_there = !waits || streams.ins.iter().zip(&ends.arrivals).any(|(port, come)| has_come(port, come));
        let has_left = streams
            .outs
            .iter()
            .zip(&ends.departures)
            .all(|(out, departures)| departures.is_dead || out.ahead(departures.safe) <= ahead);
        let is_ready = ends.fault.is_some() || (is_there && has_left);
        ends.is_watched = !is_ready;
        is_ready
    }

    /// What went wrong, once.
    pub(super) fn take_fault(&self) -> Option<StreamError> {
        lock(&self.ends).fault.take()
    }

    /// The transport has of a port all up to this number.
    pub(super) fn safe(&self, name: &str) -> u64 {
        let ends = lock(&self.ends);
        ends.departures.iter().find(|known| known.name == name).map_or(0, |known| known.safe)
    }

    /// Whether all that was to leave by the ports has left, or never will.
    pub(super) fn has_left(&self, streams: &Streams) -> bool {
        let ends = lock(&self.ends);
        let mut ports = streams.outs.iter().zip(&ends.departures);
        ends.is_closed || ports.all(|(out, departures)| departures.is_dead || out.ahead(departures.safe) == 0)
    }

    /// Waits until all has left.
    pub(super) async fn left(&self, streams: &Streams) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.has_left(streams) {
                return;
            }
            changed.await;
        }
    }

    /// Takes up to so many items that have come; the last part says whether nothing comes after them.
    pub(super) fn take(&self, at: usize, most: usize) -> (Vec<Delivery>, bool) {
        let mut ends = lock(&self.ends);
        let Some(arrivals) = ends.arrivals.get_mut(at) else { return (Vec::new(), false) };
        let count = most.min(arrivals.queue.len());
        let taken = arrivals.queue.drain(..count).collect();
        arrivals.room.notify_one();
        (taken, arrivals.queue.is_empty() && arrivals.is_over)
    }

    /// Changes the ends, and wakes the process if it waits for that.
    fn change<T>(&self, change: impl FnOnce(&mut Ends) -> T) -> T {
        let mut ends = lock(&self.ends);
        let changed = change(&mut ends);
        let is_watched = std::mem::take(&mut ends.is_watched);
        drop(ends);
        self.changed.notify_waiters();
        if is_watched && let Some(shared) = self.shared.upgrade() {
            shared.wake(&self.pid);
        }
        changed
    }

    /// It cannot go on, and waiting does not help.
    fn fail(&self, port: &'static str, source: TransportError) {
        tracing::warn!(pid = %self.pid, port, error = &source as &dyn std::error::Error, "a stream failed");
        self.change(|ends| {
            if let Some(departures) = ends.departures.iter_mut().find(|known| known.name == port) {
                departures.is_dead = true;
            }
            ends.fault = Some(StreamError::Transport { port, source });
        });
    }

    /// The process has ended: nothing is received any more, and what it had not received is given back.
    fn leave(&self) {
        let mut ends = lock(&self.ends);
        let given_back: Vec<_> = ends.arrivals.drain(..).collect();
        drop(ends);
        given_back.iter().filter_map(|arrivals| arrivals.task.as_ref()).for_each(AbortHandle::abort);
    }

    /// The process is not here any more.
    fn close(&self) {
        let mut ends = lock(&self.ends);
        ends.is_closed = true;
        let (arrivals, departures) = (std::mem::take(&mut ends.arrivals), std::mem::take(&mut ends.departures));
        drop(ends);
        let tasks = arrivals.iter().map(|known| &known.task).chain(departures.iter().map(|known| &known.task));
        tasks.flatten().for_each(AbortHandle::abort);
    }

    fn arrivals<T>(&self, at: usize, look: impl FnOnce(&mut Arrivals) -> T) -> Option<T> {
        lock(&self.ends).arrivals.get_mut(at).map(look)
    }

    fn departures<T>(&self, at: usize, look: impl FnOnce(&mut Departures) -> T) -> Option<T> {
        lock(&self.ends).departures.get_mut(at).map(look)
    }
}

/// The pause before another try.
struct Pause(Duration);

impl Pause {
    const FIRST: Self = Self(limits::STREAM_AGAIN);

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(limits::STREAM_AGAIN_MOST);
    }
}

/// Receives what comes at a port, as far as there is room.
async fn arrive(joint: Arc<Joint>, at: usize, topic: Topic) {
    let Some((name, room)) = joint.arrivals(at, |arrivals| (arrivals.name, Arc::clone(&arrivals.room))) else { return };
    let mut pause = Pause::FIRST;
    loop {
        match receive(&joint, at, &topic, &room, &mut pause).await {
            // A transport that is closed is so with the program.
            Ok(()) | Err(TransportError::Closed) => return,
            Err(error) if error.is_retryable() => {
                tracing::debug!(pid = %joint.pid, name, %error, "a stream is opened again");
                pause.wait().await;
            }
            Err(error) => return joint.fail(name, error),
        }
    }
}

async fn receive(joint: &Joint, at: usize, topic: &Topic, room: &Notify, pause: &mut Pause) -> TransportResult<()> {
    let mut inlet = joint.transport.inlet(topic).await?;
    loop {
        while joint.arrivals(at, |arrivals| arrivals.queue.len() >= limits::STREAM_BUFFER).unwrap_or(true) {
            room.notified().await;
        }
        let came = inlet.recv().await?;
        *pause = Pause::FIRST;
        let is_over = came.is_none();
        joint.change(|ends| {
            if let Some(arrivals) = ends.arrivals.get_mut(at) {
                arrivals.queue.extend(came);
                arrivals.is_over = is_over;
            }
        });
        if is_over {
            return Ok(());
        }
    }
}

/// Sends what leaves by a port, until its end has left.
async fn depart(joint: Arc<Joint>, at: usize, topic: Topic) {
    let known = joint.departures(at, |departures| (departures.name, Arc::clone(&departures.news)));
    let Some((name, news)) = known else { return };
    let mut pause = Pause::FIRST;
    loop {
        match send(&joint, at, &topic, &news, &mut pause).await {
            Ok(()) | Err(TransportError::Closed) => return,
            Err(error) if error.is_retryable() => {
                tracing::debug!(pid = %joint.pid, name, %error, "a stream is opened again");
                // Whether it has what it has not said to have is not known.
                joint.departures(at, |departures| departures.under_way = 0);
                pause.wait().await;
            }
            Err(error) => return joint.fail(name, error),
        }
    }
}

async fn send(joint: &Joint, at: usize, topic: &Topic, news: &Notify, pause: &mut Pause) -> TransportResult<()> {
    let mut outlet = joint.transport.outlet(topic).await?;
    loop {
        let next = joint.departures(at, |departures| departures.queue.get(departures.under_way).cloned());
        let Some(next) = next else { return Ok(()) };
        if let Some(envelope) = next {
            if !has_room(&mut *outlet).await? {
                // It may be long until there is some: what it has need not be kept so long.
                flush(joint, at, &mut *outlet).await?;
            }
            outlet.send(envelope).await?;
            *pause = Pause::FIRST;
            joint.departures(at, |departures| departures.under_way += 1);
            continue;
        }
        if flush(joint, at, &mut *outlet).await? {
            // Not closed: others may send on the topic, and the end is an item.
            return Ok(());
        }
        // What was put in meanwhile is sent next.
        if joint.departures(at, |departures| departures.queue.is_empty()) == Some(true) {
            news.notified().await;
        }
    }
}

/// Whether there is room now.
async fn has_room(outlet: &mut (dyn Outlet + 'static)) -> TransportResult<bool> {
    poll_fn(|cx| match outlet.poll_ready(cx) {
        Poll::Pending => Poll::Ready(Ok(false)),
        Poll::Ready(ready) => Poll::Ready(ready.map(|()| true)),
    })
    .await
}

/// Waits until what is under way is safe; whether it was the last.
async fn flush(joint: &Joint, at: usize, outlet: &mut (dyn Outlet + 'static)) -> TransportResult<bool> {
    outlet.flush().await?;
    Ok(joint.change(|ends| {
        let Some(departures) = ends.departures.get_mut(at) else { return true };
        let sent = departures.queue.drain(..departures.under_way);
        departures.safe = sent.last().map_or(departures.safe, |last| last.number);
        departures.under_way = 0;
        departures.is_done()
    }))
}
