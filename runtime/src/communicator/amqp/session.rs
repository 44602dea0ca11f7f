//! One connection: what it consists of, and how it begins and ends.

use lapin::options::{BasicQosOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Connection, ConnectionState, ErrorKind, Event};
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::acks::Acks;
use super::link::Link;
use super::publish::Outlet;
use super::setup::Setup;
use super::shared::{AmqpConnection, Shared};
use super::{topology, wire};
use crate::communicator::{CommunicatorError, CommunicatorResult};
use crate::limits;

type Events = Pin<Box<dyn futures_core::Stream<Item = Event> + Send>>;

/// What others use of a connection.
pub(super) struct Channels {
    /// Broadcasts, replies, and what is declared.
    pub(super) messages: Channel,
    pub(super) calls: Channel,
    pub(super) tasks: Channel,
    pub(super) outlet: Outlet,
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

    /// Whether the broker takes nothing for now, since it lacks memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.upgrade().is_some_and(|connection| connection.status().blocked())
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
    setup: Setup,
    events: Events,
    failed: mpsc::Receiver<String>,
}

impl Session {
    /// Connects, and sets up what every connection has.
    pub(super) async fn open(shared: &Arc<Shared>, link: Link) -> CommunicatorResult<Self> {
        let opening = Self::open_all(shared, link);
        let within = limits::CONNECT;
        timeout(within, opening).await.map_err(|_| CommunicatorError::Timeout { what: "setting up", within })?
    }

    async fn open_all(shared: &Arc<Shared>, link: Link) -> CommunicatorResult<Self> {
        let events: Events = Box::pin(link.connection().events_listener());
        let channels = Arc::new(open_channels(shared, &link).await?);
        let (failing, failed) = mpsc::channel(1);
        let mut setup = Setup::new(shared, &channels, failing)?;
        setup.consume_replies().await.map_err(wire::broker("consuming replies"))?;
        Ok(Self { shared: Arc::clone(shared), link, channels, setup, events, failed })
    }

    /// Goes on until it is to end, or has failed; then it gives why.
    pub(super) async fn run(&mut self) -> Option<String> {
        let Self { shared, link, channels, setup, events, failed } = self;
        let mut stop = shared.stop.subscribe();
        // Whatever the broker is waited for, nothing else waits for that.
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            why = failure(shared, link, channels, events, failed) => Some(why),
            () = shared.subscribers.impatience() => None,
            why = setup.keep_in_step() => Some(why),
        }
    }

    /// Takes nothing more, and waits until what was taken is answered, and what was sent is confirmed.
    pub(super) async fn finish(&mut self) {
        if !self.shared.dropped.load(Ordering::Relaxed) {
            self.finish_work().await;
        }
        self.setup.stop_consuming();
        self.shared.flush(&self.channels.acks);
        if timeout(limits::CLOSE, self.shared.publisher.settled()).await.is_err() {
            tracing::warn!("the communicator is closed although not everything that was sent is confirmed");
        }
    }

    /// Lets subscribers end what they are at work on; meanwhile tasks go back and calls are refused.
    async fn finish_work(&mut self) {
        let Self { shared, link, channels, setup, events, failed } = self;
        let work = async {
            setup.stop_taking_tasks().await;
            shared.tasks.ended().await;
            shared.calls.ended().await;
        };
        tokio::select! {
            () = work => {}
            // Nothing can be acknowledged any more.
            why = failure(shared, link, channels, events, failed) => tracing::warn!(why, "the connection is lost while it is closed"),
            () = sleep(limits::CLOSE) => tracing::warn!("the communicator is closed although its subscribers are at work"),
        }
    }

    /// Takes the connection down.
    pub(super) async fn close(mut self) {
        self.setup.stop_consuming();
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

async fn open_channels(shared: &Shared, link: &Link) -> CommunicatorResult<Channels> {
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
    Ok(Channels { messages, calls, acks, tasks, outlet, connection, declared: Mutex::default() })
}

/// Ends when the connection has failed, and gives why.
async fn failure(
    shared: &Shared,
    link: &Link,
    channels: &Channels,
    events: &mut Events,
    failed: &mut mpsc::Receiver<String>,
) -> String {
    loop {
        tokio::select! {
            // Who consumes has the sender.
            Some(why) = failed.recv() => return why,
            event = next(events) => match event {
                Some(event) => if let Some(why) = heard(shared, link, channels, event) { return why },
                None => return "the connection has ended".to_owned(),
            },
        }
    }
}

/// An event of the connection; gives why it has failed, if it has.
fn heard(shared: &Shared, link: &Link, channels: &Channels, event: Event) -> Option<String> {
    match event {
        Event::ConnectionBlocked(reason) => {
            tracing::warn!(reason, "the broker takes no messages for now");
            shared.subscribers.hold();
            shared.stands(AmqpConnection::Blocked);
        }
        Event::ConnectionUnblocked => {
            tracing::info!("the broker takes messages again");
            shared.subscribers.go_on();
            shared.stands(AmqpConnection::Connected);
        }
        // One of a task queue that is pulled from is no matter of the others.
        Event::Error(error) if !healthy(link, channels) => return Some(error.to_string()),
        _ => {}
    }
    None
}

fn healthy(link: &Link, channels: &Channels) -> bool {
    let Channels { messages, calls, tasks, outlet, .. } = channels;
    let all = [messages, calls, tasks, &*outlet.channel];
    link.connection().status().connected() && all.iter().all(|channel| channel.status().connected())
}

async fn next(events: &mut Events) -> Option<Event> {
    std::future::poll_fn(|context| events.as_mut().poll_next(context)).await
}
