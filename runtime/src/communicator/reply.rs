//! Replies, which come now or later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

use super::{CommunicatorError, CommunicatorResult, Refusal};
use crate::limits;
use crate::message::{Node, ReplyBody};

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
///
/// It is awaited on any tokio runtime with a clock. Elsewhere the deadline is only looked at when it is polled.
#[must_use = "a reply does nothing unless it is awaited"]
pub struct Reply {
    shared: Arc<Shared>,
    /// How many levels lie above.
    level: u32,
    /// Whether the level below was given away.
    spent: bool,
    within: Duration,
    /// None where it is further away than the clock reaches.
    deadline: Option<Instant>,
    /// Made where the reply is awaited, on whose runtime it depends.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What fills a [`Reply`]: whoever implements a [`Communicator`](super::Communicator) keeps it until the reply has come.
///
/// Dropped before that, the reply is [`Closed`](CommunicatorError::Closed).
pub struct Replier(Arc<Shared>);

struct Shared(Mutex<State>);

struct State {
    /// How often the other side has said that the value follows.
    pending: u32,
    outcome: Option<CommunicatorResult<Node>>,
    /// Of the lowest level, which alone is awaited.
    waker: Option<Waker>,
    /// Whoever awaits it wants the end: that it follows wakes nobody.
    last: bool,
    /// Levels that exist; none is left when nobody awaits the reply any more.
    levels: u32,
    /// Runs then.
    forget: Option<Box<dyn FnOnce() + Send>>,
}

/// What a level says that was given on.
const SPENT: &str = "the next level of this reply was given already";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reply {
    /// A reply that must be there after a time, and what fills it.
    pub fn new(within: Duration) -> (Replier, Self) {
        let state = State { pending: 0, outcome: None, waker: None, last: false, levels: 1, forget: None };
        let shared = Arc::new(Shared(Mutex::new(state)));
        (Replier(Arc::clone(&shared)), Self::level(shared, 0, within, Instant::now().checked_add(within)))
    }

    fn level(shared: Arc<Shared>, level: u32, within: Duration, deadline: Option<Instant>) -> Self {
        Self { shared, level, spent: false, within, deadline, sleep: None }
    }

    /// The final value, through all levels.
    ///
    /// # Errors
    /// The other side failed or was cancelled, the connection was lost, the communicator closed, or the deadline passed.
    pub async fn last(mut self) -> CommunicatorResult<Node> {
        std::future::poll_fn(|context| {
            if let Some(outcome) = self.take_last(context) {
                return Poll::Ready(outcome);
            }
            self.poll_deadline(context).map(Err)
        })
        .await
    }

    /// Another deadline, from now on.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self.deadline = Instant::now().checked_add(within);
        self.sleep = None;
        self
    }

    /// What there is, if there is something; otherwise whoever polls is woken when there is.
    fn take(&mut self, context: &Context<'_>) -> Option<CommunicatorResult<Replied>> {
        let mut state = self.shared.lock();
        if self.spent {
            return Some(Err(CommunicatorError::Limit(SPENT)));
        }
        if state.pending > self.level {
            state.levels += 1;
            drop(state);
            self.spent = true;
            let next = Self::level(Arc::clone(&self.shared), self.level + 1, self.within, self.deadline);
            return Some(Ok(Replied::Pending(next)));
        }
        if let Some(outcome) = &state.outcome {
            return Some(outcome.clone().map(Replied::Value));
        }
        (state.waker, state.last) = (Some(context.waker().clone()), false);
        None
    }

    /// The end, if it is there; otherwise whoever polls is woken when it is.
    fn take_last(&mut self, context: &Context<'_>) -> Option<CommunicatorResult<Node>> {
        let mut state = self.shared.lock();
        if self.spent {
            return Some(Err(CommunicatorError::Limit(SPENT)));
        }
        if let Some(outcome) = &state.outcome {
            return Some(outcome.clone());
        }
        (state.waker, state.last) = (Some(context.waker().clone()), true);
        None
    }

    /// Ends at the deadline.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<CommunicatorError> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let timeout = CommunicatorError::Timeout { what: "the reply", within: self.within };
        if deadline <= Instant::now() {
            return Poll::Ready(timeout);
        }
        if self.sleep.is_none() && tokio::runtime::Handle::try_current().is_ok() {
            self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline)));
        }
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context).map(|()| timeout))
    }
}

impl Future for Reply {
    type Output = CommunicatorResult<Replied>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(replied) = self.take(context) {
            return Poll::Ready(replied);
        }
        self.poll_deadline(context).map(Err)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.levels -= 1;
        let forget = if state.levels == 0 { state.forget.take() } else { None };
        drop(state);
        if let Some(forget) = forget {
            forget();
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("level", &self.level).field("within", &self.within).finish_non_exhaustive()
    }
}

impl Drop for Replier {
    /// Who would reply has gone.
    fn drop(&mut self) {
        self.end(Err(CommunicatorError::Closed));
    }
}

impl fmt::Debug for Replier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replier").finish_non_exhaustive()
    }
}

impl Replier {
    /// Runs this when nobody awaits the reply any more, which may be now: the moment to forget what waits for it.
    /// It runs where the reply is dropped, so it takes no lock that is held while one is dropped.
    pub fn on_forgotten(&self, forget: impl FnOnce() + Send + 'static) {
        let mut state = self.0.lock();
        if state.levels > 0 {
            state.forget = Some(Box::new(forget));
            return;
        }
        drop(state);
        forget();
    }

    /// Takes what the other side has sent; true if that was the last.
    pub fn receive(&self, body: ReplyBody) -> bool {
        match body {
            ReplyBody::Pending => return self.pending(),
            ReplyBody::Value(node) => self.end(Ok(node)),
            ReplyBody::Exception(text) => self.end(Err(CommunicatorError::Remote(text))),
            ReplyBody::Cancelled(text) => self.end(Err(CommunicatorError::Cancelled { text })),
        }
        true
    }

    /// The value follows: one level more. True if that is one too many, which ends the reply.
    pub fn pending(&self) -> bool {
        let mut state = self.0.lock();
        if state.outcome.is_none() {
            if state.pending < limits::REPLY_LEVELS {
                state.pending += 1;
            } else {
                let error = CommunicatorError::Limit("the other side went on saying that its reply follows");
                state.outcome = Some(Err(error));
            }
        }
        let ended = state.outcome.is_some();
        if ended || !state.last {
            Self::wake(state);
        }
        ended
    }

    /// The end; later ones change nothing.
    pub fn end(&self, outcome: CommunicatorResult<Node>) {
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

impl From<Result<Node, Refusal>> for ReplyBody {
    /// A task or call that ended: a rejection is a failure here (wire.md 5).
    fn from(answer: Result<Node, Refusal>) -> Self {
        match answer {
            Ok(node) => Self::Value(node),
            Err(Refusal::Rejected(text) | Refusal::Failed(text)) => Self::Exception(text),
            Err(Refusal::Cancelled(text)) => Self::Cancelled(Some(text).filter(|text| !text.is_empty())),
        }
    }
}
