//! Tasks that are taken one by one, instead of being given to a subscriber.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::{CommunicatorResult, Incoming, Refusal};
use crate::message::Node;
use crate::process::BoxFuture;
use crate::runner::caught_async;

/// A queue of tasks with a name. As an iterator it is `while let Some(task) = queue.next_task(Duration::ZERO).await? { … }`.
pub trait TaskQueue: fmt::Debug + Send + Sync + 'static {
    /// The name.
    fn name(&self) -> &str;

    /// Takes the next task; none if there is none for this long. A call that is dropped takes none, whatever becomes of the runtime on
    /// which it was made. A broker that is there has [`limits::CONNECT`](crate::limits::CONNECT) to answer, also where that is longer;
    /// one that does not is [`Timeout`](super::CommunicatorError::Timeout).
    fn next_task(&self, wait: Duration) -> BoxFuture<'_, CommunicatorResult<Option<PulledTask>>>;
}

/// What a [`Communicator`](super::Communicator) does with a task that was pulled: whoever implements one gives it to
/// [`PulledTask::new`]. One of the calls is made at most; dropped without any, it puts the task back. What a call gives may be dropped,
/// too: before it was polled, the task goes back, from then on all of it is done.
pub trait Hold: Send + Sync + 'static {
    /// Acknowledges the task, and sends the reply if one is wanted.
    fn finish(self: Box<Self>, answer: Result<Node, Refusal>) -> BoxFuture<'static, CommunicatorResult<()>>;

    /// Acknowledges the task, and tells the sender that the reply follows.
    fn take(self: Box<Self>) -> BoxFuture<'static, CommunicatorResult<()>>;

    /// Puts the task back.
    fn requeue(self: Box<Self>) -> BoxFuture<'static, CommunicatorResult<()>>;
}

/// A task that was pulled. Dropped, it goes back to its queue.
#[must_use = "a task that is dropped goes back to its queue"]
pub struct PulledTask {
    incoming: Incoming,
    hold: Box<dyn Hold>,
}

/// A task whose answer is being worked out. Dropped, the task goes back to its queue.
#[must_use = "a task that is dropped goes back to its queue"]
pub struct TaskOutcome {
    hold: Box<dyn Hold>,
}

impl PulledTask {
    /// A task that was pulled, for those who implement a [`Communicator`](super::Communicator).
    pub fn new(incoming: Incoming, hold: Box<dyn Hold>) -> Self {
        Self { incoming, hold }
    }

    /// What is to be done.
    pub fn body(&self) -> &Node {
        &self.incoming.body
    }

    /// The task as it came.
    pub fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Begins to do it: gives what is to be done, and where the answer goes.
    pub fn process(self) -> (Incoming, TaskOutcome) {
        (self.incoming, TaskOutcome { hold: self.hold })
    }

    /// Does it: the sender gets what the future gives. The task is removed also where that is an error, or a panic, which is
    /// returned. Dropped meanwhile, the task goes back to its queue.
    ///
    /// # Errors
    /// As the future says, or the answer could not be sent.
    pub async fn processing<R>(self, work: impl FnOnce(Incoming) -> R) -> Result<(), ProcessingError>
    where
        R: Future<Output = Result<Node, Refusal>>,
    {
        let (incoming, outcome) = self.process();
        let answer = caught_async(async move { work(incoming).await }).await;
        let answer = answer.unwrap_or_else(|panic| Err(Refusal::Failed(panic.to_string())));
        let refused = answer.as_ref().err().cloned();
        outcome.finish(answer).await.map_err(ProcessingError::Communicator)?;
        refused.map_or(Ok(()), |refusal| Err(ProcessingError::Refused(refusal)))
    }

    /// Puts it back into its queue.
    ///
    /// # Errors
    /// The connection was lost: the broker puts it back.
    pub async fn requeue(self) -> CommunicatorResult<()> {
        self.hold.requeue().await
    }
}

impl TaskOutcome {
    /// Acknowledges the task and answers. A future that is dropped has done both, or, if it was never polled, neither: then the task
    /// goes back.
    ///
    /// # Errors
    /// The connection was lost: the task may come again.
    pub async fn finish(self, answer: Result<Node, Refusal>) -> CommunicatorResult<()> {
        self.hold.finish(answer).await
    }

    /// Acknowledges the task now; the answer is sent later to [`Incoming::reply_to`]. Dropped, it is as with [`finish`](Self::finish).
    ///
    /// # Errors
    /// The connection was lost: the task may come again.
    pub async fn take(self) -> CommunicatorResult<()> {
        self.hold.take().await
    }
}

/// Why a task that was pulled was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessingError {
    /// The work failed; the sender was told.
    #[error("the task failed")]
    Refused(#[source] Refusal),
    /// The answer could not be sent.
    #[error("the answer could not be sent")]
    Communicator(#[source] super::CommunicatorError),
}

impl fmt::Debug for PulledTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PulledTask").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskOutcome").finish_non_exhaustive()
    }
}
