//! What every communicator does with a subscriber: its identifier, and how messages enter it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use tokio::sync::RwLock;

use super::{Answer, Answered, CommunicatorError, CommunicatorResult, Refusal};
use crate::limits;
use crate::message::Node;
use crate::process::{BoxFuture, ErrorInfo};
use crate::runner::{caught, caught_async};

/// Whether a text can be the identifier of a subscriber, which is a routing key.
///
/// # Errors
/// [`Identifier`](CommunicatorError::Identifier): it is empty, longer than [`limits::IDENTIFIER_BYTES`], or has a `*` or a `#` alone
/// between two dots, which would stand for other identifiers.
pub fn check_identifier(identifier: &str) -> CommunicatorResult<()> {
    let reason = if identifier.is_empty() {
        "it is empty"
    } else if identifier.len() > limits::IDENTIFIER_BYTES {
        "it is too long"
    } else if identifier.split('.').any(|word| matches!(word, "*" | "#")) {
        "`*` and `#` between dots stand for any text"
    } else {
        return Ok(());
    };
    Err(refused(identifier, reason))
}

/// Whether a text can be the name of a task queue, which is a routing key, too: the same wherever a queue is named.
///
/// # Errors
/// [`Identifier`](CommunicatorError::Identifier): as [`check_identifier`] says, or it begins with `amq.`, as names do that a broker keeps to
/// itself, or has a line break, which a broker leaves out.
pub fn check_queue_name(name: &str) -> CommunicatorResult<()> {
    check_identifier(name)?;
    check_name(name)
}

/// Whether a text can be the name of an exchange. It is no routing key, but part of the names of reply queues.
#[cfg(feature = "amqp")]
pub(crate) fn check_exchange_name(name: &str) -> CommunicatorResult<()> {
    if name.is_empty() {
        return Err(refused(name, "it is empty"));
    }
    if name.len() > limits::EXCHANGE_NAME_BYTES {
        return Err(refused(name, "it is too long"));
    }
    check_name(name)
}

fn check_name(name: &str) -> CommunicatorResult<()> {
    if name.starts_with("amq.") {
        return Err(refused(name, "a broker keeps names that begin with `amq.` to itself"));
    }
    if name.contains(['\r', '\n']) {
        return Err(refused(name, "a broker leaves line breaks out"));
    }
    Ok(())
}

fn refused(identifier: &str, reason: &'static str) -> CommunicatorError {
    CommunicatorError::Identifier { identifier: identifier.chars().take(300).collect(), reason }
}

/// The identifier that was given, or a new one.
pub(crate) fn identifier_or_new(given: Option<String>) -> CommunicatorResult<String> {
    let identifier = given.unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
    check_identifier(&identifier).map(|()| identifier)
}

/// How much there may be of what a communicator keeps for its users.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) subscribers: usize,
    pub(crate) replies: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { subscribers: limits::SUBSCRIBERS, replies: limits::REPLIES }
    }
}

impl Room {
    /// Whether there may be a subscriber more than these.
    pub(crate) fn for_subscriber(self, subscribers: usize) -> CommunicatorResult<()> {
        if subscribers < self.subscribers {
            return Ok(());
        }
        Err(CommunicatorError::Limit("the communicator has too many subscribers"))
    }

    /// Whether a reply more than these may be waited for.
    pub(crate) fn for_reply(self, replies: usize) -> CommunicatorResult<()> {
        if replies < self.replies {
            return Ok(());
        }
        Err(CommunicatorError::Limit("too many replies are waited for"))
    }
}

/// A subscriber, and whether it is one still. Messages enter it until its removal has returned, and none later.
#[derive(Debug)]
pub(crate) struct Subscription<S: ?Sized> {
    removed: AtomicBool,
    /// Read while a message enters.
    entry: RwLock<()>,
    pub(crate) subscriber: Arc<S>,
}

impl<S: ?Sized> Subscription<S> {
    pub(crate) fn new(subscriber: Arc<S>) -> Self {
        Self { removed: AtomicBool::new(false), entry: RwLock::new(()), subscriber }
    }

    /// Lets a message in: what came of it, or none if the subscriber was removed before. A panic is the error's text.
    pub(crate) async fn enter<T: Send>(
        &self,
        receive: impl FnOnce(&S) -> BoxFuture<'static, T> + Send,
    ) -> Option<Result<T, String>> {
        let entry = self.entry.read().await;
        if self.removed.load(Ordering::Acquire) {
            return None;
        }
        let mut future = match caught(|| receive(&self.subscriber)) {
            Ok(future) => Box::pin(caught_async(future)),
            Err(panic) => return Some(Err(panicked(&panic))),
        };
        // An async function has begun when it was polled for the first time.
        let begun = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        drop(entry);
        let ended = match begun {
            Poll::Ready(ended) => ended,
            Poll::Pending => future.await,
        };
        Some(ended.map_err(|panic| panicked(&panic)))
    }

    /// Lets no further message in; when it returns, none is on its way in.
    pub(crate) async fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        drop(self.entry.write().await);
    }
}

/// Goes through the answer to a task to its end; none if the subscriber sends that itself. That the answer follows is told each time,
/// with whether the task is taken over.
pub(crate) async fn follow(first: Answered, mut follows: impl FnMut(bool) + Send) -> Option<Result<Node, Refusal>> {
    let begin = match follow_to_value(first, &mut follows).await {
        End::Value(value) => return Some(value),
        End::Owed(begin) => begin,
    };
    follows(true);
    if let Err(panic) = caught_async(begin).await {
        tracing::error!(%panic, "a subscriber panicked, and its reply may be lost");
    }
    None
}

/// Goes through the answer to a call to its end. That it follows is told each time. It cannot be owed: a call has no address
/// that outlives it.
pub(crate) async fn follow_call(first: Answered, mut follows: impl FnMut() + Send) -> Result<Node, Refusal> {
    match follow_to_value(first, &mut |_| follows()).await {
        End::Value(value) => value,
        End::Owed(_) => Err(Refusal::Failed("the answer to a call cannot be owed".to_owned())),
    }
}

enum End {
    Value(Result<Node, Refusal>),
    Owed(BoxFuture<'static, ()>),
}

async fn follow_to_value(first: Answered, follows: &mut (impl FnMut(bool) + Send)) -> End {
    let mut answered = first;
    for _ in 0..=limits::REPLY_LEVELS {
        let future = match answered {
            Ok(Answer::Value(node)) => return End::Value(Ok(node)),
            Err(refusal) => return End::Value(Err(refusal)),
            Ok(Answer::Later(future)) => future,
            Ok(Answer::Owed(begin)) => return End::Owed(begin),
        };
        follows(false);
        answered = caught_async(future).await.unwrap_or_else(|panic| Err(Refusal::Failed(panicked(&panic))));
    }
    End::Value(Err(Refusal::Failed("the subscriber went on saying that its answer follows".to_owned())))
}

fn panicked(panic: &ErrorInfo) -> String {
    format!("the subscriber panicked: {panic}")
}
