//! The communicator over RabbitMQ, as kiwipy speaks over it (wire.md).
//!
//! [`AmqpCommunicator`] has a thread of its own: subscribers run there, and a step that blocks its thread elsewhere stops neither replies
//! nor reconnection; heartbeats have another one. What is desired (who is subscribed) is kept apart from what is set up on the broker: on
//! any failure the connection is given up as a whole, and a new one is set up for what is desired then, after a pause that grows from
//! [`limits::RECONNECT_LEAST`] to [`limits::RECONNECT_MOST`].
//!
//! A broker that lacks memory or disk reads nothing from a connection over which something was sent, and says so. What is desired is set
//! up when that is over; nobody waits for it meanwhile, and a communicator that is closed or dropped ends.
//!
//! While there is no connection, what is sent waits: tasks, calls and replies until their deadlines, broadcasts up to
//! [`limits::BROADCASTS_UNSENT`], then they are dropped and counted. Replies that were outstanding when the connection was lost fail with
//! [`Disconnected`](CommunicatorError::Disconnected). A task whose arrival was not confirmed is sent again under the same id.

mod acks;
mod at_work;
mod connection;
mod consume;
mod finished;
mod greeting;
mod hearer;
mod link;
mod options;
mod publish;
mod pull;
mod replies;
mod session;
mod setup;
mod shared;
mod statistics;
mod subscribers;
mod tasks;
mod topology;
mod wire;

pub use options::AmqpOptions;
pub use shared::AmqpConnection;
pub use statistics::AmqpStatistics;

use lapin::types::ShortString;
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use self::publish::{Message, Offer, ReplyTo, Sent};
use self::shared::Shared;
use super::{
    BroadcastFilter, BroadcastSubscriber, Communicator, CommunicatorError, CommunicatorResult, Confirmed, Refusal,
    Reply, ReplyAddress, Rpc, RpcSubscriber, Task, TaskQueue, TaskSubscriber, check_identifier, check_queue_name,
};
use crate::limits;
use crate::message::{Broadcast, Node, ReplyBody, TaskEnvelope};
use crate::process::BoxFuture;

/// A [`Communicator`] over RabbitMQ. Closed, it waits for its subscribers that are at work and for what was sent, each for at most
/// [`limits::CLOSE`]. Dropped, it is closed without waiting.
///
/// It has a thread of its own, and so is used from any runtime. Sends and replies need the clock of a tokio runtime; all else, from
/// [`connect`](Self::connect) to pulled tasks, needs none.
pub struct AmqpCommunicator {
    shared: Arc<Shared>,
    uri: AMQPUri,
}

impl AmqpCommunicator {
    /// Connects to the broker at an address such as `amqp://user:password@host:5672/vhost?heartbeat=60`.
    ///
    /// # Errors
    /// The address cannot be read, the broker refuses the connection, or cannot be reached
    /// [in time](AmqpOptions::connect_within) and the options do not say to [go on trying](AmqpOptions::go_on_trying). An `amqps` address
    /// needs the feature `amqp-tls`, and a broker whose certificate is vouched for by an authority that is trusted.
    pub async fn connect(url: &str, options: AmqpOptions) -> CommunicatorResult<Self> {
        let uri = options.address(url)?;
        let shared = Arc::new(Shared::new(options)?);
        let (first, connected) = oneshot::channel();
        let (supervised, address) = (Arc::clone(&shared), uri.clone());
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(first.send(Err(starting(error)))),
            };
            // It was never set before.
            let _ = supervised.thread.set(runtime.handle().clone());
            runtime.block_on(connection::supervise(supervised, address, first));
            runtime.shutdown_timeout(connection::END);
        };
        let thread = std::thread::Builder::new().name("procession-amqp".to_owned());
        thread.spawn(run).map_err(starting)?;
        // Dropped on the way out, it ends the thread.
        let communicator = Self { shared, uri };
        connected.await.unwrap_or(Err(CommunicatorError::Closed))?;
        Ok(communicator)
    }

    /// Whether it is connected now.
    pub fn is_connected(&self) -> bool {
        matches!(self.connection(), AmqpConnection::Connected | AmqpConnection::Blocked)
    }

    /// How it stands with its broker.
    pub fn connection(&self) -> AmqpConnection {
        *self.shared.connection.borrow()
    }

    /// How it stands with its broker, from now on: a receiver that is told of each change.
    pub fn connection_changes(&self) -> watch::Receiver<AmqpConnection> {
        self.shared.connection.subscribe()
    }

    /// What the broker says of itself: its product, version, capabilities. It is asked over a connection of its own.
    ///
    /// # Errors
    /// The broker cannot be reached, or only by TLS.
    pub async fn server_properties(&self) -> CommunicatorResult<Node> {
        self.shared.check_open()?;
        let failed = |source: std::io::Error| CommunicatorError::Broker {
            action: "asking for its properties",
            source: Arc::new(source),
        };
        let uri = self.uri.clone();
        if uri.scheme == AMQPScheme::AMQPS {
            return Err(failed(std::io::ErrorKind::Unsupported.into()));
        }
        let asking = async { tokio::task::spawn_blocking(move || greeting::properties(&uri)).await };
        let asked = self.shared.on_own_thread(asking).await?;
        asked.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
    }

    /// What has happened so far.
    pub fn statistics(&self) -> AmqpStatistics {
        self.shared.statistics.read()
    }

    async fn send_task(&self, task: Task) -> CommunicatorResult<Option<Reply>> {
        let shared = &self.shared;
        shared.check_open()?;
        let Task { body, no_reply, id, queue, deadlines } = task;
        let routing_key = match queue {
            Some(name) => {
                check_queue_name(&name)?;
                let name = wire::short(name)?;
                self.declare(&name, deadlines.send).await?;
                name
            }
            None => shared.names.task_queue.clone(),
        };
        let correlation_id = Uuid::new_v4().to_string();
        let id = id.unwrap_or_else(wire::message_id);
        let properties = wire::properties(2, wire::short(id)?).with_correlation_id(correlation_id.as_str().into());
        let message = Message {
            exchange: shared.names.task_exchange.clone(),
            routing_key,
            mandatory: true,
            reply_to: ReplyTo::Tasks,
            properties,
            body: wire::encode(&Node::from(TaskEnvelope { payload: body, no_reply }))?,
        };
        let reply = if no_reply { None } else { Some(shared.replies.expect(&correlation_id, deadlines.reply)?) };
        self.send_to_queue(&message, deadlines.send).await?;
        Ok(reply)
    }

    /// Sends a task to its queue, which is declared anew where someone has deleted it: a task waits in it, whoever is there.
    async fn send_to_queue(&self, message: &Message, within: Duration) -> CommunicatorResult<()> {
        let until = shared::until(within);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.shared.request(message.clone(), true, left).await {
                Err(CommunicatorError::Unroutable { .. }) if Instant::now() < until => {
                    self.shared.channels(until, left).await?.forget(&message.routing_key);
                    self.declare(&message.routing_key, left).await?;
                }
                Err(CommunicatorError::Timeout { what, .. }) => {
                    return Err(CommunicatorError::Timeout { what, within });
                }
                sent => return sent,
            }
            sleep(limits::RECONNECT_LEAST).await;
        }
    }

    /// Makes sure that a queue is there: a task waits in it where nobody takes it.
    async fn declare(&self, queue: &ShortString, within: Duration) -> CommunicatorResult<()> {
        let (exchange, until) = (&self.shared.names.task_exchange, shared::until(within));
        loop {
            let channels = self.shared.channels(until, within).await?;
            let declaring = channels.declare_task_queue(exchange, queue);
            let timeout = || CommunicatorError::Timeout { what: "declaring a queue", within };
            match timeout_at(until, declaring).await.map_err(|_| timeout())? {
                Ok(()) => return Ok(()),
                // The connection was lost; there is another soon.
                Err(_) if channels.is_lost() => sleep(limits::RECONNECT_LEAST).await,
                Err(error) => return Err(wire::broker("declaring a queue")(error)),
            }
        }
    }

    async fn send_rpc(&self, call: Rpc) -> CommunicatorResult<Reply> {
        let shared = &self.shared;
        shared.check_open()?;
        check_identifier(&call.recipient)?;
        let correlation_id = Uuid::new_v4().to_string();
        let properties = wire::properties(1, wire::short(wire::message_id())?);
        let message = Message {
            exchange: shared.names.message_exchange.clone(),
            routing_key: wire::short(format!("{}{}", wire::RPC, call.recipient))?,
            mandatory: true,
            reply_to: ReplyTo::Calls,
            properties: properties.with_correlation_id(correlation_id.as_str().into()),
            body: wire::encode(&call.body)?,
        };
        let reply = shared.replies.expect(&correlation_id, call.deadlines.reply)?;
        shared.request(message, false, call.deadlines.send).await?;
        Ok(reply)
    }

    /// Sends a broadcast, now or as soon as it can be. Gives whether there was room for it.
    async fn offer_broadcast(
        &self,
        broadcast: Broadcast,
        done: Option<oneshot::Sender<Sent>>,
    ) -> CommunicatorResult<bool> {
        let shared = &self.shared;
        shared.check_open()?;
        let id = broadcast.id.clone().unwrap_or_else(wire::message_id);
        let message = Message {
            exchange: shared.names.message_exchange.clone(),
            routing_key: wire::BROADCAST.into(),
            mandatory: false,
            reply_to: ReplyTo::Nowhere,
            properties: wire::properties(1, wire::short(id)?),
            body: wire::encode(&Node::from(broadcast))?,
        };
        let Some(place) = shared.place_of_broadcast().await else { return Ok(false) };
        let message = Arc::new(message);
        if shared.publisher.offer(Offer { message, again: true, done, away_until: None, order: 0, place }) {
            Ok(true)
        } else {
            Err(CommunicatorError::Closed)
        }
    }

    async fn send_broadcast(&self, broadcast: Broadcast) -> CommunicatorResult<()> {
        if !self.offer_broadcast(broadcast, None).await? {
            self.shared.statistics.dropped_broadcast();
            tracing::warn!("a broadcast is dropped: too many wait for the broker");
        }
        Ok(())
    }

    async fn hand_over_broadcast(&self, broadcast: Broadcast) -> CommunicatorResult<Confirmed> {
        let (done, sent) = oneshot::channel();
        if !self.offer_broadcast(broadcast, Some(done)).await? {
            return Err(CommunicatorError::Limit("broadcasts that wait for the broker"));
        }
        Ok(Box::pin(async move {
            match sent.await {
                // It is for whoever listens.
                Ok(Sent::Confirmed | Sent::Returned) => Ok(()),
                Ok(Sent::Refused(None)) => {
                    Err(CommunicatorError::DeliveryFailed { reason: "the broker did not take it".to_owned() })
                }
                Ok(Sent::Refused(Some(error))) => Err(CommunicatorError::Refused { reason: error.to_string() }),
                Ok(Sent::Lost(error)) => Err(CommunicatorError::Disconnected(error.map(|error| Arc::new(error) as _))),
                Err(_) => Err(CommunicatorError::Closed),
            }
        }))
    }

    async fn send_reply(&self, to: &ReplyAddress, answer: Result<Node, Refusal>) -> CommunicatorResult<()> {
        let shared = &self.shared;
        shared.check_open()?;
        // An exchange that does not exist would cost the channel, again and again.
        let known = [&shared.options.task_exchange, &shared.options.message_exchange];
        if !known.contains(&&to.exchange) {
            tracing::warn!(
                exchange = to.exchange,
                "nobody is reached for a reply: its exchange is none of this communicator"
            );
            return Ok(());
        }
        let body = ReplyBody::from(answer).with_host(&shared.host);
        let message = wire::reply(to, wire::encode(&body)?)?;
        shared.send_reply(message).await
    }
}

fn starting(error: std::io::Error) -> CommunicatorError {
    CommunicatorError::Broker { action: "starting its thread", source: Arc::new(error) }
}

/// Waits until a change is set up. Without a connection it is set up with the next one, and one that the broker does not listen to has it
/// later: nobody waits for that.
async fn set_up(done: Option<oneshot::Receiver<()>>) {
    if let Some(done) = done {
        // Nothing is ever sent: it is dropped when there is nothing to wait for any more.
        let _ = done.await;
    }
}

impl Communicator for AmqpCommunicator {
    fn task_send(&self, task: Task) -> BoxFuture<'_, CommunicatorResult<Option<Reply>>> {
        Box::pin(self.send_task(task))
    }

    fn rpc_send(&self, call: Rpc) -> BoxFuture<'_, CommunicatorResult<Reply>> {
        Box::pin(self.send_rpc(call))
    }

    fn broadcast_send(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<()>> {
        Box::pin(self.send_broadcast(broadcast))
    }

    fn broadcast_hand_over(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<Confirmed>> {
        Box::pin(self.hand_over_broadcast(broadcast))
    }

    fn add_task_subscriber(
        &self,
        subscriber: Arc<dyn TaskSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        Box::pin(async move {
            self.shared.check_open()?;
            let (identifier, done) = self.shared.subscribers.add_task(subscriber, identifier)?;
            set_up(done).await;
            Ok(identifier)
        })
    }

    fn remove_task_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(async move {
            self.shared.check_open()?;
            let (subscription, done) = self.shared.subscribers.remove_task(identifier)?;
            set_up(done).await;
            subscription.remove().await;
            Ok(())
        })
    }

    fn add_rpc_subscriber(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        Box::pin(async move {
            self.shared.check_open()?;
            let (identifier, done) = self.shared.subscribers.add_rpc(subscriber, identifier)?;
            set_up(done).await;
            Ok(identifier)
        })
    }

    fn remove_rpc_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(async move {
            self.shared.check_open()?;
            let (subscription, done) = self.shared.subscribers.remove_rpc(identifier)?;
            set_up(done).await;
            subscription.remove().await;
            Ok(())
        })
    }

    fn add_broadcast_subscriber(
        &self,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        Box::pin(async move {
            self.shared.check_open()?;
            let (identifier, done) = self.shared.subscribers.add_broadcast(subscriber, filter, identifier)?;
            set_up(done).await;
            Ok(identifier)
        })
    }

    fn remove_broadcast_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(async move {
            self.shared.check_open()?;
            let (subscription, done) = self.shared.subscribers.remove_broadcast(identifier)?;
            set_up(done).await;
            subscription.remove().await;
            Ok(())
        })
    }

    fn task_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, CommunicatorResult<Arc<dyn TaskQueue>>> {
        Box::pin(async move {
            self.shared.check_open()?;
            let queue = pull::PullQueue::open(&self.shared, name).await?;
            Ok(Arc::new(queue) as Arc<dyn TaskQueue>)
        })
    }

    fn reply<'a>(
        &'a self,
        to: &'a ReplyAddress,
        answer: Result<Node, Refusal>,
    ) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(self.send_reply(to, answer))
    }

    fn close(&self) -> BoxFuture<'_, CommunicatorResult<()>> {
        Box::pin(async move {
            self.shared.stop.send_replace(true);
            self.closed().await;
            Ok(())
        })
    }

    fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    fn is_connected(&self) -> bool {
        Self::is_connected(self)
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        let mut connection = self.shared.connection.subscribe();
        Box::pin(async move {
            // The sender outlives this: it is part of what is shared.
            let _ = connection.wait_for(|connection| *connection == AmqpConnection::Closed).await;
        })
    }
}

impl Drop for AmqpCommunicator {
    fn drop(&mut self) {
        self.shared.dropped.store(true, Ordering::Relaxed);
        self.shared.stop.send_replace(true);
    }
}

impl fmt::Debug for AmqpCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpCommunicator").field("connection", &self.connection()).finish_non_exhaustive()
    }
}
