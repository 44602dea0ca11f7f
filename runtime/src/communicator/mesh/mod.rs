//! A communicator between runtimes that call one another without a broker.
//!
//! Each takes part as an object of its [`Mesh`], and knows the others from when they greet one another: before
//! [`join`](MeshCommunicator::join) returns. Who has an identifier is asked of all, remembered, and asked anew where it is so no
//! more. What a subscriber answers comes back as messages of their own, each with all that was before.

mod broadcasts;
mod calls;
mod core;
mod wire;

use procession_transport::mesh::Mesh;
use std::fmt;
use std::sync::Arc;
use tokio::runtime::Handle;

use self::core::Core;
use super::body::check_body;
use super::{
    BroadcastFilter, BroadcastSubscriber, Communicator, CommunicatorError, CommunicatorResult, Confirmed, Refusal,
    Reply, ReplyAddress, Rpc, RpcSubscriber, Task, TaskQueue, TaskSubscriber, check_identifier, check_queue_name,
};
use crate::message::{Broadcast, Node};
use crate::process::BoxFuture;

/// How a [`MeshCommunicator`] takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshCommunicatorOptions {
    name: String,
    task_queue: Option<String>,
}

impl Default for MeshCommunicatorOptions {
    fn default() -> Self {
        Self { name: "main".to_owned(), task_queue: None }
    }
}

impl MeshCommunicatorOptions {
    /// One of those called `main`, for calls and broadcasts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Communicators of one name reach one another, and no others; a runtime has one of each.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Asks for tasks of this queue. A mesh keeps nothing, so this is [refused](MeshCommunicator::join) by now.
    #[must_use]
    pub fn with_task_queue(self, name: impl Into<String>) -> Self {
        Self { task_queue: Some(name.into()), ..self }
    }
}

/// The communicator of a runtime of a mesh: calls and broadcasts reach all communicators of its name, without a broker.
///
/// Tasks are [`Unsupported`](CommunicatorError::Unsupported): nothing in a mesh survives the runtime it is in, and a task must.
/// Calls to a runtime that is lost are [`Disconnected`](CommunicatorError::Disconnected); a broadcast is confirmed when all who are
/// there have it. Who has an identifier that several have is not said; the caller itself, if it does.
///
/// Subscribers run on the tokio runtime on which it was made. A clone is the same communicator, and it is closed when the last one
/// is dropped. The mesh is stopped with neither, as long as the program holds it; one that is stopped closes its communicators.
#[derive(Clone)]
pub struct MeshCommunicator {
    connection: Arc<Connection>,
}

/// What clones share.
struct Connection(Arc<Core>);

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(members) = self.0.close() {
            self.0.runtime.spawn(Arc::clone(&self.0).leave(members));
        }
    }
}

impl MeshCommunicator {
    /// Takes part in a mesh that was joined: when it returns, the others know it.
    ///
    /// # Errors
    /// [`Unsupported`](CommunicatorError::Unsupported) where [tasks](MeshCommunicatorOptions::with_task_queue) are asked for;
    /// [`Mesh`](CommunicatorError::Mesh) where the runtime has a communicator of this name; [`Closed`](CommunicatorError::Closed) where
    /// the mesh is stopped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn join(mesh: Mesh, options: MeshCommunicatorOptions) -> CommunicatorResult<Self> {
        if options.task_queue.is_some() {
            return Err(TASKS);
        }
        if mesh.is_stopped() {
            return Err(CommunicatorError::Closed);
        }
        let core = Core::start(mesh, options.name, Handle::current())?;
        // From here on it is closed where this is dropped.
        let communicator = Self { connection: Arc::new(Connection(Arc::clone(&core))) };
        core.greet_all().await;
        Ok(communicator)
    }

    /// The runtime of the mesh that it is on.
    pub fn mesh(&self) -> &Mesh {
        &self.core().mesh
    }

    fn core(&self) -> &Arc<Core> {
        &self.connection.0
    }

    /// Refuses what is to do with tasks, after what every communicator refuses.
    fn no_tasks<T>(&self, checked: CommunicatorResult<()>) -> CommunicatorResult<T> {
        self.core().check_open()?;
        checked?;
        Err(TASKS)
    }
}

const TASKS: CommunicatorError = CommunicatorError::Unsupported { what: "tasks", communicator: "the mesh" };

impl fmt::Debug for MeshCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshCommunicator").field("core", self.core()).finish()
    }
}

impl Communicator for MeshCommunicator {
    fn task_send(&self, task: Task) -> BoxFuture<'_, CommunicatorResult<Option<Reply>>> {
        let named = task.queue.as_deref().map_or(Ok(()), check_queue_name);
        let checked = named.and_then(|()| check_body(&task.body));
        Box::pin(async move { self.no_tasks(checked) })
    }

    fn rpc_send(&self, call: Rpc) -> BoxFuture<'_, CommunicatorResult<Reply>> {
        Box::pin(self.core().send_call(call))
    }

    fn broadcast_send(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<()>> {
        Box::pin(self.core().send_broadcast(broadcast))
    }

    fn broadcast_hand_over(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<Confirmed>> {
        Box::pin(self.core().hand_over(broadcast))
    }

    fn add_task_subscriber(
        &self,
        _: Arc<dyn TaskSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        let checked = identifier.as_deref().map_or(Ok(()), check_identifier);
        Box::pin(async move { self.no_tasks(checked) })
    }

    fn remove_task_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        // There never is one.
        Box::pin(async move { self.no_tasks(Err(CommunicatorError::Unknown(identifier.to_owned()))) })
    }

    fn add_rpc_subscriber(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        Box::pin(async move { self.core().add_rpc_subscriber(subscriber, identifier) })
    }

    fn remove_rpc_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(async move {
            self.core().remove_rpc_subscriber(identifier)?.remove().await;
            Ok(())
        })
    }

    fn add_broadcast_subscriber(
        &self,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        Box::pin(async move { self.core().add_broadcast_subscriber(subscriber, filter, identifier) })
    }

    fn remove_broadcast_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(async move {
            self.core().remove_broadcast_subscriber(identifier)?.remove().await;
            Ok(())
        })
    }

    fn task_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, CommunicatorResult<Arc<dyn TaskQueue>>> {
        Box::pin(async move { self.no_tasks(check_queue_name(name)) })
    }

    fn reply<'a>(&'a self, _: &'a ReplyAddress, _: Result<Node, Refusal>) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(async move { self.no_tasks(Ok(())) })
    }

    fn close(&self) -> BoxFuture<'_, CommunicatorResult<()>> {
        Box::pin(async move {
            if let Some(members) = self.core().close() {
                // Also where nobody waits for that.
                let left = self.core().runtime.spawn(Arc::clone(self.core()).leave(members));
                // An error says that its runtime has ended, and all with it.
                let _ = left.await;
            }
            Ok(())
        })
    }

    fn is_closed(&self) -> bool {
        self.core().is_closed()
    }

    fn is_connected(&self) -> bool {
        !self.is_closed() && !self.core().mesh.is_stopped()
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        let mut closed = self.core().closed.subscribe();
        Box::pin(async move {
            // An error says that its sender has gone, which it does when it is closed.
            let _ = closed.wait_for(|closed| *closed).await;
        })
    }
}

#[cfg(test)]
mod tests;
