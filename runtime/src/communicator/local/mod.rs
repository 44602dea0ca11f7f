//! A communicator in this process.

mod broadcast;
mod call;
mod medium;
mod pull;
mod task;

use std::fmt;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use self::medium::Medium;
use self::pull::LocalTaskQueue;
use super::body::check_body;
use super::{
    BroadcastFilter, BroadcastSubscriber, Communicator, CommunicatorResult, Refusal, Reply, ReplyAddress, Rpc,
    RpcSubscriber, Task, TaskQueue, TaskSubscriber, check_identifier, check_queue_name,
};
use crate::message::{Broadcast, Node};
use crate::process::BoxFuture;

/// The communicator within one process of the operating system: the reference for the [contract](super).
///
/// A clone is the same communicator. [`another`](Self::another) is a second one over the same queues, as a second worker has
/// it at a broker. Tasks are in memory, and are gone when the last communicator over their queues is.
///
/// Subscribers run on the tokio runtime on which the communicator was made; those who send, subscribe and pull may be on
/// others, or on none; a pull that waits needs the clock of one. A communicator whose runtime has ended is as lost as one whose process was killed: its tasks are given to others.
///
/// It is closed when the last clone is dropped. A subscriber that holds a clone keeps it open, until [`close`](Communicator::close).
#[derive(Clone)]
pub struct LocalCommunicator {
    connection: Arc<Connection>,
}

/// What clones share.
#[derive(Debug)]
struct Connection {
    id: Uuid,
    medium: Arc<Medium>,
    closed: watch::Receiver<bool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.medium.close(self.id);
    }
}

impl LocalCommunicator {
    /// A communicator with queues of its own, whose subscribers run on the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime; [`on`](Self::on) takes one.
    #[track_caller]
    pub fn new() -> Self {
        Self::on(Handle::current())
    }

    /// A communicator with queues of its own, whose subscribers run on this runtime.
    pub fn on(runtime: Handle) -> Self {
        Self::connect(Arc::default(), runtime)
    }

    /// Another communicator over the same queues, whose subscribers run on the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime; [`another_on`](Self::another_on) takes one.
    #[track_caller]
    pub fn another(&self) -> Self {
        self.another_on(Handle::current())
    }

    /// Another communicator over the same queues, whose subscribers run on this runtime.
    pub fn another_on(&self, runtime: Handle) -> Self {
        Self::connect(Arc::clone(&self.connection.medium), runtime)
    }

    fn connect(medium: Arc<Medium>, runtime: Handle) -> Self {
        let (id, closed) = medium.join(runtime);
        Self { connection: Arc::new(Connection { id, medium, closed }) }
    }

    fn medium(&self) -> (&Arc<Medium>, Uuid) {
        (&self.connection.medium, self.connection.id)
    }
}

impl Default for LocalCommunicator {
    /// As [`new`](Self::new).
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCommunicator").field("id", &self.connection.id).finish_non_exhaustive()
    }
}

impl Communicator for LocalCommunicator {
    fn task_send(&self, task: Task) -> BoxFuture<'_, CommunicatorResult<Option<Reply>>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            task.queue.as_deref().map_or(Ok(()), check_queue_name)?;
            check_body(&task.body)?;
            medium.send_task(id, task)
        })
    }

    fn rpc_send(&self, call: Rpc) -> BoxFuture<'_, CommunicatorResult<Reply>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            check_identifier(&call.recipient)?;
            check_body(&call.body)?;
            medium.send_call(id, call)
        })
    }

    fn broadcast_send(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<()>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            check_body(&broadcast.body)?;
            medium.send_broadcast(id, broadcast)
        })
    }

    fn add_task_subscriber(
        &self,
        subscriber: Arc<dyn TaskSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        let (medium, id) = self.medium();
        Box::pin(async move { medium.add_task_subscriber(id, subscriber, identifier) })
    }

    fn remove_task_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            medium.remove_task_subscriber(id, identifier)?.remove().await;
            Ok(())
        })
    }

    fn add_rpc_subscriber(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        let (medium, id) = self.medium();
        Box::pin(async move { medium.add_rpc_subscriber(id, subscriber, identifier) })
    }

    fn remove_rpc_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            medium.remove_rpc_subscriber(id, identifier)?.remove().await;
            Ok(())
        })
    }

    fn add_broadcast_subscriber(
        &self,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        let (medium, id) = self.medium();
        Box::pin(async move { medium.add_broadcast_subscriber(id, subscriber, filter, identifier) })
    }

    fn remove_broadcast_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            medium.remove_broadcast_subscriber(id, identifier)?.remove().await;
            Ok(())
        })
    }

    fn task_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, CommunicatorResult<Arc<dyn TaskQueue>>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            medium.check_open(id)?;
            check_queue_name(name)?;
            Ok(Arc::new(LocalTaskQueue::new(Arc::clone(&self.connection), name)) as _)
        })
    }

    fn reply<'a>(
        &'a self,
        to: &'a ReplyAddress,
        answer: Result<Node, Refusal>,
    ) -> BoxFuture<'a, CommunicatorResult<()>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            medium.check_open(id)?;
            if let Ok(node) = &answer {
                check_body(node)?;
            }
            medium.reply(to, answer.into());
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, CommunicatorResult<()>> {
        let (medium, id) = self.medium();
        Box::pin(async move {
            medium.close(id);
            Ok(())
        })
    }

    fn is_closed(&self) -> bool {
        *self.connection.closed.borrow()
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        let mut closed = self.connection.closed.clone();
        Box::pin(async move {
            // An error says that its sender has gone, which it does when it is closed.
            let _ = closed.wait_for(|closed| *closed).await;
        })
    }
}

#[cfg(test)]
mod tests;
