//! A topic that is open: its actor, and the name of one end of it there.

use std::sync::Arc;
use std::time::Duration;

use procession_transport::{Topic, TransportError, TransportResult};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::time::Instant;

use crate::python::{Actor, lost};
use crate::{Shared, limits};

/// What this side speaks; that of the code of the actor.
const VERSION: u32 = 1;

/// What an end is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Sends,
    Receives,
}

/// An end, as the actor knows it.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    actor: Actor,
    end: String,
    is_left: bool,
}

/// What became of items.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) acks: Vec<u64>,
    pub(crate) releases: Vec<u64>,
    /// Came here, and was not given out.
    pub(crate) unread: Vec<u64>,
}

/// What a call for items gave: the actor's clock, whether it is the end, tags, whether they may come again, bodies.
pub(crate) type Taken = (u64, bool, Vec<u64>, Vec<bool>, Vec<bytes::Bytes>);

impl Opened {
    /// Opens a topic. An actor that is about to go is waited for, and a new one made.
    pub(crate) async fn open(shared: &Arc<Shared>, topic: &Topic, role: Role) -> TransportResult<Self> {
        let until = Instant::now() + limits::OPEN;
        loop {
            match Self::attach(shared, topic, role).await {
                Err(TransportError::Disconnected(_)) if Instant::now() < until => {
                    tokio::time::sleep(limits::OPEN_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attach(shared: &Arc<Shared>, topic: &Topic, role: Role) -> TransportResult<Self> {
        // What is in the namespace of others' actors is named so that it is none of them.
        let name = format!("procession/{}", topic.name());
        let namespace = Arc::clone(&shared.namespace);
        let actor = shared.caller.open(namespace, name, topic.capacity(), topic.is_lasting()).await?;
        let end = uuid::Uuid::new_v4().simple().to_string();
        // Made first: where this is cancelled, dropping it says that the end is gone.
        let opened = Self { shared: Arc::clone(shared), actor, end, is_left: false };
        let arguments = (
            VERSION,
            opened.end.clone(),
            role == Role::Sends,
            role == Role::Receives && topic.is_exclusive(),
            topic.capacity(),
            topic.is_lasting(),
            shared.lease.as_secs_f64(),
        );
        let (refusal, reason): (String, String) = opened.call("attach", arguments, Duration::ZERO).await?;
        let topic = || topic.name().to_owned();
        let refusal = match refusal.as_str() {
            "" => return Ok(opened),
            "ended" => TransportError::Ended { topic: topic() },
            "occupied" => TransportError::Occupied { topic: topic() },
            "mismatch" => TransportError::Mismatch { topic: topic(), reason },
            "gone" => {
                // Whoever was to end it did not come to it, or is about to.
                shared.caller.kill(&opened.actor).await?;
                lost("the topic's actor was about to go")
            }
            _ => TransportError::Refused { what: "a topic", reason },
        };
        opened.forget();
        Err(refusal)
    }

    /// It was never an end.
    fn forget(mut self) {
        self.is_left = true;
    }

    async fn call<A, T>(&self, method: &'static str, arguments: A, waits: Duration) -> TransportResult<T>
    where
        A: for<'py> IntoPyObject<'py, Target = PyTuple, Error = PyErr> + Send + 'static,
        T: for<'a, 'py> FromPyObject<'a, 'py> + Send + 'static,
    {
        self.shared.caller.call(&self.actor, method, arguments, waits).await
    }

    /// How long a call waits at the actor, and an end is silent: so that two signs of life may come late.
    pub(crate) fn pause(&self) -> Duration {
        self.shared.lease / 3
    }

    /// Puts items in; how many there was room for in the time of a [`pause`](Self::pause).
    pub(crate) async fn put(&self, bodies: Vec<bytes::Bytes>) -> TransportResult<usize> {
        let arguments = (self.end.clone(), bodies, self.pause().as_secs_f64());
        let put: i64 = self.call("put", arguments, self.pause()).await?;
        usize::try_from(put).map_err(|_| expired())
    }

    /// Tells what became of items, and takes some.
    pub(crate) async fn take(&self, settled: Settled) -> TransportResult<Taken> {
        let Settled { acks, releases, unread } = settled;
        let (most, bytes, waits) = (limits::BATCH, limits::BATCH_BYTES, self.pause().as_secs_f64());
        let arguments = (self.end.clone(), acks, releases, unread, most, bytes, waits);
        let taken: Option<Taken> = self.call("take", arguments, self.pause()).await?;
        taken.ok_or_else(expired)
    }

    /// Tells what became of items, that it is alive, and whether it takes no more; gives the actor's clock.
    pub(crate) async fn settle(&self, settled: Settled, leaves: bool) -> TransportResult<u64> {
        let Settled { acks, releases, unread } = settled;
        let arguments = (self.end.clone(), acks, releases, unread, leaves);
        let clock: i64 = self.call("settle", arguments, Duration::ZERO).await?;
        u64::try_from(clock).map_err(|_| expired())
    }

    /// It is gone; a sender says whether it has closed. The last one ends the actor, where it is of no use any more.
    pub(crate) async fn leave(&mut self, closes: bool) -> TransportResult<()> {
        self.is_left = true;
        let is_spent: bool = self.call("leave", (self.end.clone(), closes), Duration::ZERO).await?;
        if is_spent {
            self.shared.caller.kill(&self.actor).await?;
        }
        Ok(())
    }
}

impl Drop for Opened {
    /// Only where opening was cancelled, or the work of an end: otherwise it has left.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !std::mem::replace(&mut self.is_left, true) {
            let (shared, actor, end) = (Arc::clone(&self.shared), Arc::clone(&self.actor), self.end.clone());
            let mut gone = Self { shared, actor, end, is_left: true };
            // Where it does not come through, the lease ends.
            runtime.spawn(async move { drop(gone.leave(false).await) });
        }
    }
}

fn expired() -> TransportError {
    lost("the actor took this end for lost")
}
