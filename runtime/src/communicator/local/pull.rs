//! Tasks that are pulled.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Connection;
use super::medium::Medium;
use crate::communicator::body::answer_body;
use crate::communicator::{CommunicatorError, CommunicatorResult, Hold, PulledTask, Refusal, ReplyAddress, TaskQueue};
use crate::limits;
use crate::message::{Node, ReplyBody};
use crate::process::BoxFuture;

/// A queue by its name; it keeps its communicator open.
#[derive(Debug)]
pub(super) struct LocalTaskQueue {
    connection: Arc<Connection>,
    name: String,
}

impl LocalTaskQueue {
    pub(super) fn new(connection: Arc<Connection>, name: &str) -> Self {
        Self { connection, name: name.to_owned() }
    }

    /// Takes a task as soon as there is one.
    async fn take(&self) -> CommunicatorResult<PulledTask> {
        let Connection { id, medium, .. } = &*self.connection;
        loop {
            let arrival = Arrival::of(medium, &self.name);
            let mut arrived = std::pin::pin!(arrival.arrived.notified());
            arrived.as_mut().enable();
            if let Some(task) = medium.pull(*id, &self.name)? {
                return Ok(task);
            }
            arrived.await;
        }
    }
}

impl TaskQueue for LocalTaskQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_task(&self, wait: Duration) -> BoxFuture<'_, CommunicatorResult<Option<PulledTask>>> {
        let mut closed = self.connection.closed.clone();
        Box::pin(async move {
            let Connection { id, medium, .. } = &*self.connection;
            if wait.is_zero() {
                return medium.pull(*id, &self.name);
            }
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => Err(CommunicatorError::Closed),
                taken = tokio::time::timeout(wait, self.take()) => taken.map_or(Ok(None), |task| task.map(Some)),
            }
        })
    }
}

/// Somebody waits for a task of a queue, which exists meanwhile.
struct Arrival<'a> {
    medium: &'a Medium,
    name: &'a str,
    arrived: Arc<Notify>,
}

impl<'a> Arrival<'a> {
    fn of(medium: &'a Medium, name: &'a str) -> Self {
        let mut state = medium.lock();
        let arrived = Arc::clone(&state.queues.entry(name.to_owned()).or_default().arrived);
        drop(state);
        Self { medium, name, arrived }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut state = self.medium.lock();
        self.arrived = Arc::default();
        state.forget_queue(self.name);
    }
}

impl Medium {
    fn pull(self: &Arc<Self>, id: Uuid, name: &str) -> CommunicatorResult<Option<PulledTask>> {
        let mut state = self.lock();
        if state.member(id)?.held.len() >= limits::TASKS_AT_ONCE {
            return Err(CommunicatorError::Limit("too many tasks were taken and not answered"));
        }
        let Some(message) = state.take(name) else { return Ok(None) };
        let incoming = message.incoming.clone();
        let reply_to = incoming.reply_to.clone();
        let number = state.hold(id, message)?;
        drop(state);
        let hold = Held { medium: Arc::clone(self), member: id, number, reply_to };
        Ok(Some(PulledTask::new(incoming, Box::new(hold))))
    }
}

/// A task that was pulled.
struct Held {
    medium: Arc<Medium>,
    member: Uuid,
    number: u64,
    reply_to: Option<ReplyAddress>,
}

impl Held {
    fn acknowledge(&self, reply: ReplyBody) -> CommunicatorResult<()> {
        if !self.medium.acknowledge(self.member, self.number) {
            return Err(CommunicatorError::Closed);
        }
        if let Some(to) = &self.reply_to {
            self.medium.reply(to, reply);
        }
        Ok(())
    }
}

impl Hold for Held {
    fn finish(self: Box<Self>, answer: Result<Node, Refusal>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move { self.acknowledge(answer_body(answer)) })
    }

    fn take(self: Box<Self>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move { self.acknowledge(ReplyBody::Pending) })
    }

    fn requeue(self: Box<Self>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move {
            let was_held = self.medium.requeue(self.member, self.number);
            if was_held { Ok(()) } else { Err(CommunicatorError::Closed) }
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // One that was answered is not there any more.
        self.medium.requeue(self.member, self.number);
    }
}
