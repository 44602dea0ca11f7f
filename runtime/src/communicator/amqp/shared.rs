//! What outlives connections.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::ShortString;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::acks::Acks;
use super::at_work::AtWork;
use super::options::AmqpOptions;
use super::publish::{Message, Offer, Publisher, ReplyTo, Sent};
use super::replies::Replies;
use super::session::Channels;
use super::statistics::Statistics;
use super::subscribers::Subscribers;
use super::tasks::Tasks;
use super::wire;
use crate::communicator::heard::Heard;
use crate::communicator::{CommunicatorError, CommunicatorResult, ReplyAddress};
use crate::limits;
use crate::message::{Host, Node, ReplyBody};

/// How an [`AmqpCommunicator`](super::AmqpCommunicator) stands with its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AmqpConnection {
    /// It tries to connect.
    Connecting,
    /// It is connected, and everything is set up.
    Connected,
    /// The broker takes no messages for now, since it lacks memory or disk; what is sent waits.
    Blocked,
    /// It was closed.
    Closed,
}

/// What the thread of the communicator and its callers share.
pub(super) struct Shared {
    pub(super) options: AmqpOptions,
    pub(super) publisher: Publisher,
    pub(super) replies: Arc<Replies>,
    pub(super) subscribers: Subscribers,
    pub(super) tasks: Tasks,
    /// Calls that are being answered.
    pub(super) calls: AtWork,
    pub(super) statistics: Arc<Statistics>,
    pub(super) connection: watch::Sender<AmqpConnection>,
    /// Set once, to end the thread.
    pub(super) stop: watch::Sender<bool>,
    /// It was dropped: nobody waits for its end.
    pub(super) dropped: AtomicBool,
    /// The channels of the connection, while there is one.
    pub(super) channels: Mutex<Option<Arc<Channels>>>,
    pub(super) names: Names,
    requests: Arc<Semaphore>,
    broadcasts: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    /// Broadcasts that have come lately.
    heard: Mutex<Heard>,
    /// The runtime of the subscribers to tasks has ended: tasks are read on the thread of the communicator from then on.
    pub(super) deserted: AtomicBool,
    pub(super) host: Host,
    /// The thread of the communicator.
    pub(super) thread: OnceLock<Handle>,
}

/// Names that are used in every message.
pub(super) struct Names {
    pub(super) message_exchange: ShortString,
    pub(super) task_exchange: ShortString,
    pub(super) task_queue: ShortString,
}

impl Names {
    fn new(options: &AmqpOptions) -> CommunicatorResult<Self> {
        Ok(Self {
            message_exchange: wire::short(&options.message_exchange)?,
            task_exchange: wire::short(&options.task_exchange)?,
            task_queue: wire::short(&options.task_queue)?,
        })
    }
}

impl Shared {
    pub(super) fn new(options: AmqpOptions) -> CommunicatorResult<Self> {
        let this = Host::this();
        let host = Host { hostname: options.host_name.clone().unwrap_or(this.hostname), pid: this.pid };
        let (replies, statistics): (Arc<Replies>, Arc<Statistics>) = (Arc::default(), Arc::default());
        Ok(Self {
            publisher: Publisher::new(Arc::clone(&replies), Arc::clone(&statistics)),
            replies,
            subscribers: Subscribers::default(),
            tasks: Tasks::new(options.prefetch),
            calls: AtWork::default(),
            heard: Mutex::default(),
            deserted: AtomicBool::new(false),
            statistics,
            connection: watch::Sender::new(AmqpConnection::Connecting),
            stop: watch::Sender::new(false),
            dropped: AtomicBool::new(false),
            channels: Mutex::default(),
            names: Names::new(&options)?,
            requests: Arc::new(Semaphore::new(limits::UNCONFIRMED)),
            broadcasts: Arc::new(Semaphore::new(limits::BROADCASTS_UNSENT)),
            answers: Arc::new(Semaphore::new(limits::REPLIES_WAITING)),
            host,
            thread: OnceLock::new(),
            options,
        })
    }

    /// Says how the connection stands, once it is there.
    pub(super) fn stands(&self, connection: AmqpConnection) {
        self.connection.send_if_modified(|stands| {
            let there = matches!(stands, AmqpConnection::Connected | AmqpConnection::Blocked);
            there && std::mem::replace(stands, connection) != connection
        });
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether a broadcast comes for the first time: one that was not confirmed is sent again after a lost connection.
    pub(super) fn is_new(&self, delivery: &Delivery) -> bool {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.first(delivery.properties.message_id().as_ref().map(ShortString::as_str))
    }

    pub(super) fn check_open(&self) -> CommunicatorResult<()> {
        if self.is_closed() { Err(CommunicatorError::Closed) } else { Ok(()) }
    }

    /// The channels of the connection, as soon as there is one.
    pub(super) async fn channels(&self, until: Instant, within: Duration) -> CommunicatorResult<Arc<Channels>> {
        let mut connection = self.connection.subscribe();
        loop {
            self.check_open()?;
            let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(channels) = channels {
                return Ok(channels);
            }
            let changed = timeout_at(until, connection.changed()).await;
            changed.map_err(|_| CommunicatorError::Timeout { what: "connecting", within })?.ok();
        }
    }

    /// Runs something on the thread of the communicator, from now on and to its end, also where nobody waits for that.
    pub(super) fn on_own_thread<T: Send + 'static, W: Future<Output = T> + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = CommunicatorResult<T>> + use<T, W> {
        let running = self.thread.get().map(|thread| thread.spawn(work));
        async move {
            let Some(running) = running else { return Err(CommunicatorError::Closed) };
            running.await.map_err(|_| CommunicatorError::Closed)
        }
    }

    /// Sends a request, and waits for what becomes of it.
    pub(super) async fn request(&self, message: Message, again: bool, within: Duration) -> CommunicatorResult<()> {
        self.send(message, again, within, None).await
    }

    /// Sends a reply, and waits for what becomes of it: at last one that nobody is there for is so, too.
    pub(super) async fn send_reply(&self, message: Message) -> CommunicatorResult<()> {
        let away = self.options.sender_away;
        match self.send(message, true, limits::SEND.saturating_add(away), Some(until(away))).await {
            Err(CommunicatorError::Unroutable { .. }) => Ok(()),
            sent => sent,
        }
    }

    async fn send(
        &self,
        message: Message,
        again: bool,
        within: Duration,
        away_until: Option<Instant>,
    ) -> CommunicatorResult<()> {
        let recipient = message.routing_key.clone();
        let timeout = || CommunicatorError::Timeout { what: "sending", within };
        let until = until(within);
        let place = timeout_at(until, Arc::clone(&self.requests).acquire_owned()).await.map_err(|_| timeout())?;
        let place = place.map_err(|_| CommunicatorError::Closed)?;
        let (done, sent) = oneshot::channel();
        if !self.publisher.offer(Offer {
            message: Arc::new(message),
            again,
            done: Some(done),
            away_until,
            order: 0,
            place,
        }) {
            return Err(CommunicatorError::Closed);
        }
        match timeout_at(until, sent).await.map_err(|_| timeout())? {
            Ok(Sent::Confirmed) => Ok(()),
            Ok(Sent::Returned) => Err(unroutable(&recipient)),
            Ok(Sent::Refused(None)) => {
                Err(CommunicatorError::DeliveryFailed { reason: "the broker did not take it".to_owned() })
            }
            Ok(Sent::Refused(Some(error))) => Err(CommunicatorError::Refused { reason: error.to_string() }),
            Ok(Sent::Lost(error)) => Err(CommunicatorError::Disconnected(error.map(|error| Arc::new(error) as _))),
            Err(_) => Err(CommunicatorError::Closed),
        }
    }

    /// A place for a broadcast. None: it is dropped, since too many wait.
    pub(super) async fn place_of_broadcast(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.broadcasts).try_acquire_owned() {
            return Some(place);
        }
        if !self.publisher.connected() {
            return None;
        }
        timeout_at(until(limits::SEND), Arc::clone(&self.broadcasts).acquire_owned()).await.ok()?.ok()
    }

    /// Sends a reply to a task, with where it comes from; after the acknowledgements that were made before.
    pub(super) fn task_reply(&self, to: &ReplyAddress, body: ReplyBody, acks: Option<&Arc<Acks>>) {
        if let Some(written) = self.task_answer(body) {
            self.send_task_answer(to, written, acks);
        }
    }

    /// A reply to a task as it is sent, with where it comes from.
    pub(super) fn task_answer(&self, body: ReplyBody) -> Option<Arc<[u8]>> {
        written(|body| body.with_host(&self.host), body)
    }

    /// Sends one that is written; after the acknowledgements that were made before.
    pub(super) fn send_task_answer(&self, to: &ReplyAddress, written: Arc<[u8]>, acks: Option<&Arc<Acks>>) {
        let Some(message) = reply(to, written) else { return };
        match acks {
            Some(acks) => match acks.after(message) {
                Some(message) => self.answer(message),
                None => self.acknowledge(acks),
            },
            None => self.answer(message),
        }
    }

    /// Acknowledges what was settled, and sends what waits for that: at once, or with all that gathers where much is on its way.
    pub(super) fn acknowledge(&self, acks: &Acks) {
        if self.publisher.is_busy() {
            acks.flush_soon();
        } else {
            self.flush(acks);
        }
    }

    pub(super) fn flush(&self, acks: &Acks) {
        for message in acks.flush() {
            self.answer(message);
        }
    }

    /// Sends a reply to a call.
    pub(super) fn call_reply(&self, to: &ReplyAddress, body: ReplyBody) {
        if let Some(message) = written(Node::from, body).and_then(|written| reply(to, written)) {
            self.answer(message);
        }
    }

    /// Sends an answer; nobody waits for what becomes of it.
    pub(super) fn answer(&self, message: Arc<Message>) {
        let Ok(place) = Arc::clone(&self.answers).try_acquire_owned() else {
            self.statistics.dropped_reply();
            tracing::error!(to = message.routing_key.as_str(), "a reply is dropped: too many wait for a connection");
            return;
        };
        let away_until = Some(until(self.options.sender_away));
        self.publisher.offer(Offer { message, again: true, done: None, away_until, order: 0, place });
    }

    /// What cannot be read, on its way aside; none if there is no queue for it.
    pub(super) fn parking(&self, delivery: &Delivery) -> Option<Message> {
        let queue = wire::short(self.options.parking.as_ref()?).ok()?;
        Some(Message {
            exchange: ShortString::default(),
            routing_key: queue,
            mandatory: true,
            reply_to: ReplyTo::Nowhere,
            properties: parked(&delivery.properties)?,
            body: Arc::from(delivery.data.as_slice()),
        })
    }

    /// Waits for this long, or until the communicator is closed.
    pub(super) async fn pause(&self, within: Duration) {
        let mut stop = self.stop.subscribe();
        // Either end is one: too late, or closed.
        let _ = tokio::time::timeout(within, stop.wait_for(|stop| *stop)).await;
    }
}

/// The body of a reply; a value that cannot be written is told as such.
fn written(form: impl Fn(ReplyBody) -> Node, body: ReplyBody) -> Option<Arc<[u8]>> {
    let written =
        wire::encode(&form(body)).or_else(|error| wire::encode(&form(ReplyBody::Exception(error.to_string()))));
    written.inspect_err(|error| tracing::error!(%error, "a reply cannot be written")).ok()
}

fn reply(to: &ReplyAddress, written: Arc<[u8]>) -> Option<Arc<Message>> {
    let message = wire::reply(to, written);
    message.inspect_err(|error| tracing::error!(%error, to = to.queue, "a reply cannot be sent")).ok().map(Arc::new)
}

/// The properties of a message that is put aside: without those on which the broker would act, or for which it would refuse it.
fn parked(properties: &BasicProperties) -> Option<BasicProperties> {
    // What comes back is known by its id.
    let id = properties.message_id().clone().or_else(|| wire::short(wire::message_id()).ok())?;
    let mut parked = BasicProperties::default().with_delivery_mode(2).with_message_id(id);
    if let Some(id) = properties.correlation_id() {
        parked = parked.with_correlation_id(id.clone());
    }
    if let Some(to) = properties.reply_to() {
        parked = parked.with_reply_to(to.clone());
    }
    Some(parked)
}

pub(super) fn unroutable(routing_key: &ShortString) -> CommunicatorError {
    let key = routing_key.as_str();
    CommunicatorError::Unroutable { recipient: key.strip_prefix(wire::RPC).unwrap_or(key).to_owned() }
}

/// A moment that far away; one that the clock cannot reach is far enough.
pub(super) fn until(within: Duration) -> Instant {
    Instant::now().checked_add(within).unwrap_or_else(|| Instant::now() + limits::TASK_REPLY)
}
