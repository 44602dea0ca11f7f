//! Replies, which come now or later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

use super::{CommunicatorError, CommunicatorResult};
use crate::limits;
use crate::message::Node;

/// Where the reply to a task goes. As a text it can be stored, and used by another OS process later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ReplyAddress {
    /// The exchange on which the task came.
    pub exchange: String,
    /// The queue of the sender.
    pub queue: String,
    /// What the sender knows the task by.
    pub correlation_id: String,
}

/// One level of a reply.
#[derive(Debug)]
pub enum Replied {
    /// The final value.
    Value(Node),
    /// The value follows.
    Pending(Reply),
}

/// A reply to a task or a call: a future of the value, or of another such future, as many levels as the other side sends.
///
/// [`last`](Self::last) goes through all levels. Dropping it forgets the reply, and cancels nothing on the other side.
#[must_use = "a reply does nothing unless it is awaited"]
pub struct Reply {
    shared: Arc<Shared>,
    /// How many levels lie above.
    level: u32,
    within: Duration,
    deadline: Pin<Box<Sleep>>,
}

/// Where replies arrive that belong to one [`Reply`].
pub(crate) struct Replier(Arc<Shared>);

struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often the other side has said that the value follows.
    pending: u32,
    outcome: Option<CommunicatorResult<Node>>,
    waker: Option<Waker>,
    /// Runs when the reply is no longer awaited.
    forget: Option<Box<dyn FnOnce() + Send>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reply {
    /// A reply that must be there after a time, and what fills it.
    pub(crate) fn new(within: Duration) -> (Replier, Self) {
        let shared = Arc::new(Shared(Mutex::default()));
        // A deadline further away than the clock reaches is none.
        let deadline = Instant::now().checked_add(within).unwrap_or_else(|| Instant::now() + limits::TASK_REPLY);
        let deadline = Box::pin(tokio::time::sleep_until(deadline));
        (Replier(Arc::clone(&shared)), Self { shared, level: 0, within, deadline })
    }

    /// The final value, through all levels.
    ///
    /// # Errors
    /// The other side failed or was cancelled, the connection was lost, the communicator closed, or the deadline passed.
    pub async fn last(self) -> CommunicatorResult<Node> {
        let mut reply = self;
        loop {
            match reply.await? {
                Replied::Value(node) => return Ok(node),
                Replied::Pending(next) => reply = next,
            }
        }
    }

    /// Another deadline, from now on.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        let deadline = Instant::now().checked_add(within).unwrap_or_else(|| Instant::now() + limits::TASK_REPLY);
        self.deadline.as_mut().reset(deadline);
        self
    }
}

impl Future for Reply {
    type Output = CommunicatorResult<Replied>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.lock();
        if state.pending > self.level {
            drop(state);
            let (level, within) = (self.level + 1, self.within);
            let deadline = Box::pin(tokio::time::sleep_until(self.deadline.deadline()));
            let next = Self { shared: Arc::clone(&self.shared), level, within, deadline };
            return Poll::Ready(Ok(Replied::Pending(next)));
        }
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone().map(Replied::Value));
        }
        state.waker = Some(context.waker().clone());
        drop(state);
        let within = self.within;
        self.deadline.as_mut().poll(context).map(|()| Err(CommunicatorError::Timeout { what: "the reply", within }))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // The levels below hold it too; `Replier` is the other holder.
        if Arc::strong_count(&self.shared) <= 2 {
            let forget = self.shared.lock().forget.take();
            if let Some(forget) = forget {
                forget();
            }
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Drop for Replier {
    /// Who would reply has gone.
    fn drop(&mut self) {
        self.end(Err(CommunicatorError::Closed));
    }
}

impl Replier {
    /// Runs this when nobody awaits the reply any more.
    pub(crate) fn on_forgotten(&self, forget: impl FnOnce() + Send + 'static) {
        self.0.lock().forget = Some(Box::new(forget));
    }

    /// The value follows: one level more.
    pub(crate) fn pending(&self) {
        let mut state = self.0.lock();
        state.pending += 1;
        if state.pending > limits::REPLY_LEVELS {
            state.outcome = Some(Err(CommunicatorError::Limit("the other side went on saying that its reply follows")));
        }
        Self::wake(state);
    }

    /// The end; later ones change nothing.
    pub(crate) fn end(&self, outcome: CommunicatorResult<Node>) {
        let mut state = self.0.lock();
        state.outcome.get_or_insert(outcome);
        Self::wake(state);
    }

    fn wake(mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
