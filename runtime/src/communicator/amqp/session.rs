//! One connection: set up for what is desired, kept in step with it, until it fails.

use lapin::options::{BasicQosOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Connection, ConnectionState, ErrorKind, Event};
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::acks::Acks;
use super::consume::{self, TaskReader};
use super::link::Link;
use super::publish::Outlet;
use super::shared::{AmqpConnection, Shared};
use super::subscribers::Change;
use super::{topology, wire};
use crate::communicator::{CommunicatorError, CommunicatorResult};
use crate::limits;

type Events = Pin<Box<dyn futures_core::Stream<Item = Event> + Send>>;

/// What others use of a connection.
pub(super) struct Channels {
    /// Broadcasts, replies, and what is declared.
    messages: Channel,
    calls: Channel,
    tasks: Channel,
    outlet: Outlet,
    pub(super) acks: Arc<Acks>,
    connection: Weak<Connection>,
    /// Queues of tasks that were declared over this connection.
    declared: Mutex<HashSet<ShortString>>,
}

impl Channels {
    /// Opens a channel of its own for a queue of tasks, which is declared on it.
    pub(super) async fn open_task_queue(&self, exchange: &ShortString, queue: &ShortString) -> lapin::Result<Channel> {
        let gone = || lapin::Error::from(ErrorKind::InvalidConnectionState(ConnectionState::Closed));
        let channel = self.connection.upgrade().ok_or_else(gone)?.create_channel().await?;
        topology::task_queue(&channel, exchange, queue).await?;
        self.lock().insert(queue.clone());
        Ok(channel)
    }

    /// Declares a queue of tasks, unless it was: who sends does so too, since a task is to wait where nobody takes it.
    pub(super) async fn declare_task_queue(&self, exchange: &ShortString, queue: &ShortString) -> lapin::Result<()> {
        if self.lock().contains(queue) {
            return Ok(());
        }
        self.open_task_queue(exchange, queue).await.map(drop)
    }

    /// A queue of tasks that was declared is not there any more.
    pub(super) fn forget(&self, queue: &ShortString) {
        self.lock().remove(queue);
    }

    /// Whether the connection is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.connection.upgrade().is_none_or(|connection| !connection.status().connected())
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ShortString>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Session {
    shared: Arc<Shared>,
    link: Link,
    channels: Arc<Channels>,
    events: Events,
    calls: ShortString,
    /// Whether calls are consumed: from the first subscriber on.
    calls_consumed: bool,
    tasks_consumed: Option<Consumed>,
    broadcasts_consumed: Option<Consumed>,
    consumers: JoinSet<()>,
    failing: mpsc::Sender<String>,
    failed: mpsc::Receiver<String>,
}

/// A consumer that may be cancelled.
struct Consumed {
    tag: ShortString,
    /// Ends when nothing comes any more.
    ended: JoinHandle<()>,
    /// It was cancelled here: its end is no failure.
    cancelled: Arc<AtomicBool>,
}

impl Session {
    /// Connects, and sets up what every connection has.
    pub(super) async fn open(shared: &Arc<Shared>, link: Link) -> CommunicatorResult<Self> {
        let setting_up = Self::set_up(shared, link);
        let within = limits::CONNECT;
        timeout(within, setting_up).await.map_err(|_| CommunicatorError::Timeout { what: "setting up", within })?
    }

    async fn set_up(shared: &Arc<Shared>, link: Link) -> CommunicatorResult<Self> {
        let events: Events = Box::pin(link.connection().events_listener());
        let failed = wire::broker;
        let publish = link.channel().await.map_err(failed("opening a channel"))?;
        let messages = link.channel().await.map_err(failed("opening a channel"))?;
        let calls = link.channel().await.map_err(failed("opening a channel"))?;
        let tasks = link.channel().await.map_err(failed("opening a channel"))?;
        publish.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed("asking for confirmations"))?;
        let qos = BasicQosOptions::default();
        for channel in [&messages, &calls] {
            channel.basic_qos(limits::MESSAGE_PREFETCH, qos).await.map_err(failed("setting a prefetch"))?;
        }
        tasks.basic_qos(shared.options.prefetch, qos).await.map_err(failed("setting a prefetch"))?;
        let names = &shared.names;
        topology::exchange(&messages, &names.message_exchange).await.map_err(failed("declaring an exchange"))?;
        topology::exchange(&messages, &names.task_exchange).await.map_err(failed("declaring an exchange"))?;
        let queue = &names.task_queue;
        topology::task_queue(&messages, &names.task_exchange, queue).await.map_err(failed("declaring a queue"))?;
        if let Some(parking) = &shared.options.parking {
            let parking = wire::short(parking)?;
            topology::parking_queue(&messages, &parking).await.map_err(failed("declaring a queue"))?;
        }
        let own = |exchange: &ShortString| wire::short(format!("{exchange}-reply-{}", Uuid::new_v4()));
        let outlet = Outlet {
            channel: Arc::new(publish),
            task_replies: own(&names.task_exchange)?,
            call_replies: own(&names.message_exchange)?,
        };
        let connection = Arc::downgrade(link.connection());
        let acks = Arc::new(Acks::new(tasks.clone()));
        let channels =
            Arc::new(Channels { messages, calls, acks, tasks, outlet, connection, declared: Mutex::default() });
        let (failing, failures) = mpsc::channel(1);
        let mut session = Self {
            shared: Arc::clone(shared),
            link,
            channels,
            events,
            calls: wire::short(format!("amq_{}", Uuid::new_v4().simple()))?,
            calls_consumed: false,
            tasks_consumed: None,
            broadcasts_consumed: None,
            consumers: JoinSet::new(),
            failing,
            failed: failures,
        };
        session.consume_replies().await.map_err(failed("consuming replies"))?;
        Ok(session)
    }

    async fn consume_replies(&mut self) -> lapin::Result<()> {
        let Channels { messages, outlet, .. } = &*self.channels;
        let names = &self.shared.names;
        let of_tasks = topology::replies(messages, &names.task_exchange, &outlet.task_replies).await?;
        let of_calls = topology::replies(messages, &names.message_exchange, &outlet.call_replies).await?;
        for consumer in [of_tasks, of_calls] {
            let (shared, failing) = (Arc::clone(&self.shared), self.failing.clone());
            self.consumers.spawn(consume::replies(shared, consumer, failing));
        }
        self.consumers.spawn(consume::acknowledgements(Arc::clone(&self.shared), Arc::clone(&self.channels.acks)));
        Ok(())
    }

    /// Sets up what is desired, then keeps in step with it. Gives why it ended; no reason if it is to end.
    pub(super) async fn run(&mut self) -> Option<String> {
        let shared = Arc::clone(&self.shared);
        let mut stop = shared.stop.subscribe();
        let mut changes: Vec<Change> = shared.subscribers.accept().into_iter().map(Change::Bind).collect();
        changes.push(Change::Consumers);
        if let Err(error) = self.apply(&changes).await {
            return Some(error);
        }
        shared.publisher.connect(self.channels.outlet.clone());
        *shared.channels.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&self.channels));
        shared.connection.send_replace(AmqpConnection::Connected);
        loop {
            tokio::select! {
                why = self.failed.recv() => return why,
                event = next(&mut self.events) => match event {
                    Some(event) => if let Some(why) = self.heard(event) { return Some(why) },
                    None => return Some("the connection has ended".to_owned()),
                },
                () = shared.publisher.failed() => return Some("the channel for publishing failed".to_owned()),
                () = shared.subscribers.changed() => {
                    let (changes, done): (Vec<_>, Vec<_>) = shared.subscribers.changes().into_iter().unzip();
                    if let Err(error) = self.apply(&changes).await {
                        return Some(error);
                    }
                    drop(done);
                }
                _ = stop.wait_for(|stop| *stop) => return None,
            }
        }
    }

    /// An event of the connection; gives why it has failed, if it has.
    fn heard(&self, event: Event) -> Option<String> {
        let connection = &self.shared.connection;
        match event {
            Event::ConnectionBlocked(reason) => {
                tracing::warn!(reason, "the broker takes no messages for now");
                connection.send_replace(AmqpConnection::Blocked);
            }
            Event::ConnectionUnblocked => {
                tracing::info!("the broker takes messages again");
                connection.send_replace(AmqpConnection::Connected);
            }
            // One of a task queue that is pulled from is no matter of the others.
            Event::Error(error) if !self.healthy() => return Some(error.to_string()),
            _ => {}
        }
        None
    }

    fn healthy(&self) -> bool {
        let Channels { messages, calls, tasks, outlet, .. } = &*self.channels;
        let all = [messages, calls, tasks, &*outlet.channel];
        self.link.connection().status().connected() && all.iter().all(|channel| channel.status().connected())
    }

    /// Changes what is set up on the broker.
    async fn apply(&mut self, changes: &[Change]) -> Result<(), String> {
        let connection = Arc::clone(self.link.connection());
        let mut applying = std::pin::pin!(self.try_apply(changes));
        loop {
            match timeout(limits::CONNECT, applying.as_mut()).await {
                Ok(applied) => return applied.map_err(|error| error.to_string()),
                // It lacks memory or disk: nothing is sent until it says so, or until the connection is lost.
                Err(_) if connection.status().connected() && connection.status().blocked() => {}
                Err(_) => return Err("the broker does not answer".to_owned()),
            }
        }
    }

    async fn try_apply(&mut self, changes: &[Change]) -> lapin::Result<()> {
        let mut bound = Vec::new();
        let mut unbound = Vec::new();
        let mut consumers = false;
        for change in changes {
            match change {
                Change::Bind(identifier) => bound.push(identifier),
                Change::Unbind(identifier) => unbound.push(identifier),
                Change::Consumers => consumers = true,
            }
        }
        // An identifier that was removed has been unbound before it is bound anew: a change is made only when the one before is done.
        self.bind(&bound).await?;
        self.unbind(&unbound).await?;
        if consumers {
            self.consume().await?;
        }
        Ok(())
    }

    async fn bind(&mut self, identifiers: &[&String]) -> lapin::Result<()> {
        let Some(last) = identifiers.len().checked_sub(1) else { return Ok(()) };
        let messages = &self.channels.messages;
        if !self.calls_consumed {
            let calls = &self.channels.calls;
            let consumer = topology::calls(calls, &self.calls).await?;
            let calls = consume::calls(Arc::clone(&self.shared), calls.clone(), consumer, self.failing.clone());
            self.consumers.spawn(calls);
            self.calls_consumed = true;
        }
        for (place, identifier) in identifiers.iter().enumerate() {
            let key = key_of(identifier);
            let exchange = &self.shared.names.message_exchange;
            topology::bind(messages, &self.calls, exchange, &key, place < last).await?;
        }
        Ok(())
    }

    async fn unbind(&mut self, identifiers: &[&String]) -> lapin::Result<()> {
        let (messages, queue) = (&self.channels.messages, &self.calls);
        let exchange = &self.shared.names.message_exchange;
        let mut unbinding: Vec<Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>> = Vec::new();
        for identifier in identifiers {
            let key = key_of(identifier);
            unbinding.push(Box::pin(async move { topology::unbind(messages, queue, exchange, &key).await }));
        }
        together(unbinding).await?;
        for identifier in identifiers {
            self.shared.subscribers.unbound(identifier);
        }
        Ok(())
    }

    /// Consumes tasks and broadcasts while someone wants them.
    async fn consume(&mut self) -> lapin::Result<()> {
        let (tasks, broadcasts) = self.shared.subscribers.wanted();
        let (shared, channels) = (&self.shared, &self.channels);
        match (broadcasts, self.broadcasts_consumed.take()) {
            (true, None) => {
                // A queue that is not consumed is deleted: the next has another name.
                let queue = wire::short(format!("broadcast-{}", Uuid::new_v4().simple())).unwrap_or_default();
                let consumer = topology::broadcasts(&channels.messages, &shared.names.message_exchange, &queue).await?;
                let tag = consumer.tag();
                let (messages, failing) = (channels.messages.clone(), self.failing.clone());
                let cancelled = Arc::default();
                let hearing =
                    consume::broadcasts(Arc::clone(shared), messages, consumer, Arc::clone(&cancelled), failing);
                self.broadcasts_consumed = Some(Consumed { tag, ended: tokio::spawn(hearing), cancelled });
            }
            (false, Some(consumed)) => cancel(&channels.messages, consumed).await?,
            (_, same) => self.broadcasts_consumed = same,
        }
        match (tasks, self.tasks_consumed.take()) {
            (true, None) => {
                let consumer = topology::consume(&channels.tasks, &shared.names.task_queue).await?;
                let tag = consumer.tag();
                let acks = Arc::clone(&channels.acks);
                let (cancelled, failing) = (Arc::<AtomicBool>::default(), self.failing.clone());
                let reader = TaskReader { shared: Arc::clone(shared), cancelled: Arc::clone(&cancelled), failing };
                let taking = consume::tasks(reader, acks, consumer);
                let runtime = shared.subscribers.task_runtime().filter(|_| !shared.deserted.load(Ordering::Relaxed));
                let ended = match runtime {
                    Some(runtime) => runtime.spawn(taking),
                    None => tokio::spawn(taking),
                };
                self.tasks_consumed = Some(Consumed { tag, ended, cancelled });
            }
            (false, Some(consumed)) => cancel(&channels.tasks, consumed).await?,
            (_, same) => self.tasks_consumed = same,
        }
        Ok(())
    }

    /// Takes nothing more, and waits until what was taken is answered, and what was sent is confirmed.
    pub(super) async fn finish(&mut self) {
        if !self.shared.dropped.load(Ordering::Relaxed) {
            self.finish_work().await;
        }
        self.stop_consuming();
        self.shared.flush(&self.channels.acks);
        if timeout(limits::CLOSE, self.shared.publisher.settled()).await.is_err() {
            tracing::warn!("the communicator is closed although not everything that was sent is confirmed");
        }
    }

    /// Lets subscribers end what they are at work on; meanwhile tasks go back and calls are refused.
    async fn finish_work(&mut self) {
        let (shared, tasks) = (Arc::clone(&self.shared), self.tasks_consumed.take());
        let channel = self.channels.tasks.clone();
        let work = async {
            if let Some(consumed) = tasks
                && let Err(error) = cancel(&channel, consumed).await
            {
                tracing::warn!(%error, "the consumer of tasks cannot be cancelled");
            }
            shared.tasks.ended().await;
            shared.calls.ended().await;
        };
        tokio::select! {
            () = work => {}
            // Nothing can be acknowledged any more.
            _ = self.failed.recv() => {}
            () = sleep(limits::CLOSE) => tracing::warn!("the communicator is closed although its subscribers are at work"),
        }
    }

    fn stop_consuming(&mut self) {
        self.consumers.abort_all();
        for consumed in [self.tasks_consumed.take(), self.broadcasts_consumed.take()].into_iter().flatten() {
            consumed.cancelled.store(true, Ordering::Relaxed);
            consumed.ended.abort();
        }
    }

    /// Takes the connection down.
    pub(super) async fn close(mut self) {
        self.stop_consuming();
        let shared = &self.shared;
        *shared.channels.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let after = self.channels.acks.die();
        shared.publisher.disconnect(None);
        for message in after {
            shared.answer(message);
        }
        if shared.is_closed() {
            shared.replies.close();
        } else {
            shared.replies.lost();
        }
        shared.subscribers.reject();
        self.link.close().await;
    }
}

/// Cancels a consumer, and waits until what had come is dealt with.
async fn cancel(channel: &Channel, consumed: Consumed) -> lapin::Result<()> {
    consumed.cancelled.store(true, Ordering::Relaxed);
    topology::cancel(channel, consumed.tag).await?;
    // It ends, or was aborted.
    let _ = consumed.ended.await;
    Ok(())
}

fn key_of(identifier: &str) -> ShortString {
    // Identifiers are checked when they are added: they are short enough.
    wire::short(format!("{}{identifier}", wire::RPC)).unwrap_or_default()
}

async fn next(events: &mut Events) -> Option<Event> {
    std::future::poll_fn(|context| events.as_mut().poll_next(context)).await
}

/// Starts all, in order; then awaits them.
async fn together(mut all: Vec<Pin<Box<dyn Future<Output = lapin::Result<()>> + Send + '_>>>) -> lapin::Result<()> {
    let mut result = Ok(());
    std::future::poll_fn(|context| {
        // What is there already is not awaited.
        all.retain_mut(|one| match one.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(done) => {
                if result.is_ok() {
                    result = done;
                }
                false
            }
        });
        Poll::Ready(())
    })
    .await;
    for one in all {
        let done = one.await;
        if result.is_ok() {
            result = done;
        }
    }
    result
}
