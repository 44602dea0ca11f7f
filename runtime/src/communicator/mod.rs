//! How processes, workers and controllers talk: the [`Communicator`] trait and its contract.
//!
//! There are three ways. A *task* waits in a queue until one of the workers takes it, and survives the death of that
//! worker. A *remote procedure call* goes to one subscriber, which is known by its identifier, and is refused where
//! nobody has that identifier. A *broadcast* goes to all who listen, and to nobody if nobody does.
//!
//! # Contract
//! Every communicator keeps these sentences; the conformance suite has a test for each.
//!
//! 1. A task goes to one subscriber. One that rejects it leaves it to the next of the same communicator, in the order in
//!    which they were added; rejected by all, it goes back to its queue, no sooner than after [`limits::REJECTED`].
//! 2. A task without a subscriber waits. One that a worker has not answered when it is lost is given to another. One that is
//!    sent again under its id ([`Task::id`]) is the same task: whoever has it answers as before, whether or not it asks the
//!    subscriber again.
//! 3. A call goes to the subscriber of its identifier; without one it fails as [`Unroutable`](CommunicatorError::Unroutable).
//! 4. A broadcast goes to every subscriber whose filter lets it pass, the sender's own among them; no subscriber is no error.
//!    A subscriber hears broadcasts one after the other, in the order in which they were sent; a panic in it is logged. One
//!    that is sent again under its id ([`Broadcast::id`]) is heard once, as far as is remembered: the latest
//!    [`limits::HEARD`] ids.
//! 5. What a subscriber answers arrives at the sender: a value, an error as [`Remote`](CommunicatorError::Remote) with its
//!    text, a cancellation as [`Cancelled`](CommunicatorError::Cancelled). An answer that follows later arrives as one
//!    level of [`Reply`] more, as often as that happens.
//! 6. A task is acknowledged when its answer is final, or as soon as its subscriber has taken it over ([`Answer::Owed`]); a
//!    call and a broadcast when they have arrived.
//! 7. An identifier belongs to one subscriber of its kind and communicator: a second one is
//!    [`Duplicate`](CommunicatorError::Duplicate), the removal of one that is not there
//!    [`Unknown`](CommunicatorError::Unknown). What [`check_identifier`] refuses is
//!    [`Identifier`](CommunicatorError::Identifier), wherever it is given, as is what [`check_queue_name`] refuses as the name of
//!    a queue.
//! 8. When a subscription returned, what is sent to it arrives; when a removal returned, nothing arrives any more, and what
//!    had arrived goes on. A call that was under way then is refused: as unroutable, or as
//!    [`Remote`](CommunicatorError::Remote) where a broker had told its caller already that it was on its way. Neither waits for a
//!    broker that is away, takes nothing, or needs longer than [`limits::CONNECT`]: it returns all the same, and what others send
//!    arrives, or is refused, as soon as the broker has caught up.
//! 9. After [`close`](Communicator::close) every call is [`Closed`](CommunicatorError::Closed), replies that are
//!    outstanding among them, and tasks that were not answered go back to their queue. What its subscribers were doing may be
//!    cut off; what ends before the close has returned is acknowledged and answered. One that is dropped is closed.
//! 10. Every send and every reply has a deadline: past it, it is [`Timeout`](CommunicatorError::Timeout).
//! 11. A task that was pulled ([`TaskQueue::next_task`]) and is dropped without an answer goes back to its queue.
//! 12. Nothing is unbounded: what would exceed a limit is refused with an error, or waits.
//!
//! A communicator that carries no tasks, since nothing would keep them, refuses all that is about them as
//! [`Unsupported`](CommunicatorError::Unsupported), and keeps the rest.
//!
//! Subscribers run beside one another, each task and each call on its own; they must not block their thread. A panic in
//! one is a failure with its text.

#[cfg(feature = "amqp")]
mod amqp;
mod body;
mod error;
mod filter;
mod heard;
mod listener;
mod local;
#[cfg(feature = "mesh")]
mod mesh;
mod pull;
mod reply;
mod subscription;

#[cfg(feature = "conformance")]
pub mod conformance;

#[cfg(feature = "amqp")]
pub use amqp::{AmqpCommunicator, AmqpConnection, AmqpOptions, AmqpStatistics};
pub use error::{CommunicatorError, Source};
pub use filter::BroadcastFilter;
pub use local::LocalCommunicator;
#[cfg(feature = "mesh")]
pub use mesh::{MeshCommunicator, MeshCommunicatorOptions};
pub use pull::{Hold, ProcessingError, PulledTask, TaskOutcome, TaskQueue};
pub use reply::{Replied, Replier, Reply, ReplyAddress};
pub use subscription::{check_identifier, check_queue_name};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use crate::message::{Broadcast, Node};
use crate::process::BoxFuture;

/// The result of a call to a communicator.
pub type CommunicatorResult<T> = Result<T, CommunicatorError>;

/// Ends when a broadcast is confirmed, or will not be.
pub type Confirmed = BoxFuture<'static, CommunicatorResult<()>>;

/// Carries tasks, calls and broadcasts. See the [module](self) for the contract.
///
/// What has a deadline needs a clock: sends, replies and pulls are awaited on a tokio runtime with its time enabled, and may panic
/// elsewhere. Those who subscribe, unsubscribe and close need no runtime.
///
/// Outside of this crate it is implemented with [`Reply::new`], [`PulledTask::new`], [`Incoming::new`] and [`IncomingRpc::new`].
pub trait Communicator: fmt::Debug + Send + Sync + 'static {
    /// Sends a task. With `Ok`, whoever carries it has it for good. None if no reply was wanted.
    fn task_send(&self, task: Task) -> BoxFuture<'_, CommunicatorResult<Option<Reply>>>;

    /// Calls the subscriber of an identifier. With `Ok`, it is on its way to one.
    fn rpc_send(&self, call: Rpc) -> BoxFuture<'_, CommunicatorResult<Reply>>;

    /// Tells all who listen.
    fn broadcast_send(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<()>>;

    /// Tells all who listen, and gives what ends when whoever carries it has it for good. Broadcasts are heard in the order
    /// in which this was called, whenever those end.
    ///
    /// Without an implementation it is [`broadcast_send`](Self::broadcast_send), and is confirmed when that is done.
    fn broadcast_hand_over(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<Confirmed>> {
        Box::pin(async move {
            self.broadcast_send(broadcast).await?;
            let confirmed: Confirmed = Box::pin(std::future::ready(Ok(())));
            Ok(confirmed)
        })
    }

    /// Takes tasks from the queue of this communicator, from now on.
    /// Without an identifier one is made; it is returned.
    fn add_task_subscriber(
        &self,
        subscriber: Arc<dyn TaskSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>>;

    /// Takes no further tasks for a subscriber; those that it has go on.
    fn remove_task_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>>;

    /// Answers the calls to an identifier, from now on.
    fn add_rpc_subscriber(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>>;

    /// Answers no further calls to an identifier.
    fn remove_rpc_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>>;

    /// Hears the broadcasts that pass the filter, from now on.
    fn add_broadcast_subscriber(
        &self,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>>;

    /// Hears no further broadcasts for a subscriber.
    fn remove_broadcast_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>>;

    /// The task queue of a name, from which tasks are pulled one by one; [`Task::queue`] sends to it.
    fn task_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, CommunicatorResult<Arc<dyn TaskQueue>>>;

    /// Sends the final reply to a task that was taken over earlier, perhaps by another OS process. A sender that has gone, or has
    /// its reply already, is no error.
    fn reply<'a>(
        &'a self,
        to: &'a ReplyAddress,
        answer: Result<Node, Refusal>,
    ) -> BoxFuture<'a, CommunicatorResult<()>>;

    /// Closes it; again is no error.
    fn close(&self) -> BoxFuture<'_, CommunicatorResult<()>>;

    /// Whether it was closed.
    fn is_closed(&self) -> bool;

    /// Whether it can send and receive at this moment. One that is not is on its way to be again, unless it was closed.
    fn is_connected(&self) -> bool {
        !self.is_closed()
    }

    /// Ends when it is closed.
    fn closed(&self) -> BoxFuture<'_, ()>;
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until it is on its way.
    pub send: Duration,
    /// Until the final reply is there.
    pub reply: Duration,
}

impl Deadlines {
    /// Of a task: [`limits::SEND`] and [`limits::TASK_REPLY`].
    pub const TASK: Self = Self { send: limits::SEND, reply: limits::TASK_REPLY };
    /// Of a call: [`limits::SEND`] and [`limits::RPC_REPLY`].
    pub const RPC: Self = Self { send: limits::SEND, reply: limits::RPC_REPLY };
}

/// A task to send.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Task {
    /// What is to be done.
    pub body: Node,
    /// Whether no reply is wanted.
    pub no_reply: bool,
    /// What tells this task from others, and a repetition from a second task; made if none is given.
    pub id: Option<String>,
    /// Another queue than that of the communicator.
    pub queue: Option<String>,
    /// How long it may take.
    pub deadlines: Deadlines,
}

impl Task {
    /// A task for the queue of the communicator, with a reply.
    pub fn new(body: Node) -> Self {
        Self { body, no_reply: false, id: None, queue: None, deadlines: Deadlines::TASK }
    }

    /// Wants no reply.
    pub fn no_reply(mut self) -> Self {
        self.no_reply = true;
        self
    }

    /// Makes a repetition of this task known as such: the same id again is the same task.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sends to the queue of this name.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queue = Some(name.into());
        self
    }

    /// Allows it this long.
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }
}

/// A call to send.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rpc {
    /// The identifier of the subscriber.
    pub recipient: String,
    /// What is asked.
    pub body: Node,
    /// How long it may take.
    pub deadlines: Deadlines,
}

impl Rpc {
    /// A call.
    pub fn new(recipient: impl Into<String>, body: Node) -> Self {
        Self { recipient: recipient.into(), body, deadlines: Deadlines::RPC }
    }

    /// Allows it this long.
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }
}

/// A task that has arrived.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Incoming {
    /// What is to be done.
    pub body: Node,
    /// What tells this task from others; the same again is a repetition.
    pub id: String,
    /// Whether it was given to someone before.
    pub redelivered: bool,
    /// Where the reply goes, if one is wanted.
    pub reply_to: Option<ReplyAddress>,
}

impl Incoming {
    /// A task that comes for the first time, and wants no reply.
    pub fn new(id: impl Into<String>, body: Node) -> Self {
        Self { body, id: id.into(), redelivered: false, reply_to: None }
    }
}

/// A call that has arrived.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct IncomingRpc {
    /// The identifier that was called.
    pub recipient: String,
    /// What is asked.
    pub body: Node,
}

impl IncomingRpc {
    /// A call.
    pub fn new(recipient: impl Into<String>, body: Node) -> Self {
        Self { recipient: recipient.into(), body }
    }
}

/// What a subscriber answers.
pub enum Answer {
    /// This.
    Value(Node),
    /// What the future gives; the sender is told that it follows. A task stays unacknowledged until then.
    Later(BoxFuture<'static, Answered>),
    /// Nothing yet; the sender is told that it follows. The task is acknowledged now: whoever answers so has made sure that it is not
    /// lost, sends the [reply](Communicator::reply), and knows then that it was sent. The future runs when the sender was told, so
    /// that no reply is before it. To a call it is a failure, and the future never runs.
    Owed(BoxFuture<'static, ()>),
}

/// What a subscriber returns.
pub type Answered = Result<Answer, Refusal>;

/// Why there is no value. Shown as its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A task is not for this subscriber: another may take it. To a call, and to a task that was answered with a future, this is a failure.
    #[error("{0}")]
    Rejected(String),
    /// It failed; the text is all that the sender hears.
    #[error("{0}")]
    Failed(String),
    /// It was cancelled. A task is acknowledged, other than in plumpy, where it goes round for ever.
    #[error("{0}")]
    Cancelled(String),
}

impl Refusal {
    /// It failed with this; for `map_err`.
    pub fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(node) => f.debug_tuple("Value").field(node).finish(),
            Self::Later(_) => f.write_str("Later"),
            Self::Owed(_) => f.write_str("Owed"),
        }
    }
}

impl<T: Into<Node>> From<T> for Answer {
    fn from(node: T) -> Self {
        Self::Value(node.into())
    }
}

/// Does tasks. Closures that take an [`Incoming`] and return a future of [`Answered`] are subscribers.
pub trait TaskSubscriber: Send + Sync + 'static {
    /// A task has arrived.
    fn receive(&self, task: Incoming) -> BoxFuture<'static, Answered>;

    /// The tokio runtime on which it works, if it has one: a communicator with a thread of its own may read and hand over
    /// tasks there, and so need not wake another thread for each.
    fn runtime(&self) -> Option<tokio::runtime::Handle> {
        None
    }
}

/// Answers calls. Closures that take an [`IncomingRpc`] and return a future of [`Answered`] are subscribers.
pub trait RpcSubscriber: Send + Sync + 'static {
    /// A call has arrived.
    fn receive(&self, call: IncomingRpc) -> BoxFuture<'static, Answered>;
}

/// Hears broadcasts. Closures that take a [`Broadcast`] and return a future are subscribers.
pub trait BroadcastSubscriber: Send + Sync + 'static {
    /// A broadcast has arrived that passed the filter. One subscriber hears them in the order in which they came.
    fn receive(&self, broadcast: Arc<Broadcast>) -> BoxFuture<'static, ()>;
}

impl<F, R> TaskSubscriber for F
where
    F: Fn(Incoming) -> R + Send + Sync + 'static,
    R: Future<Output = Answered> + Send + 'static,
{
    fn receive(&self, task: Incoming) -> BoxFuture<'static, Answered> {
        Box::pin(self(task))
    }
}

impl<F, R> RpcSubscriber for F
where
    F: Fn(IncomingRpc) -> R + Send + Sync + 'static,
    R: Future<Output = Answered> + Send + 'static,
{
    fn receive(&self, call: IncomingRpc) -> BoxFuture<'static, Answered> {
        Box::pin(self(call))
    }
}

impl<F, R> BroadcastSubscriber for F
where
    F: Fn(Arc<Broadcast>) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    fn receive(&self, broadcast: Arc<Broadcast>) -> BoxFuture<'static, ()> {
        Box::pin(self(broadcast))
    }
}
