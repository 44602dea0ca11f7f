//! What makes the ends of channels.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::receiver::Receiver;
use super::sender::Sender;
use super::{Carried, ChannelError, ChannelResult, ConnectorSpec, SpecError};
use crate::{LocalTransport, Mode, Topic, Transport, TransportResult};

/// Makes connectors over one transport, all with the same options (C6).
#[derive(Debug, Clone)]
pub struct ConnectorBuilder {
    transport: Arc<dyn Transport>,
    job: Option<String>,
    capacity: Option<NonZeroUsize>,
    is_lasting: bool,
    is_written: bool,
}

/// A name for a run that nobody else has: `Job_` and 16 letters and digits (C28).
pub fn job_id() -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    // 122 random bits, of which 16 letters take 96.
    let mut random = uuid::Uuid::new_v4().as_u128();
    let mut id = "Job_".to_owned();
    for _ in 0..16 {
        id.push(char::from(LETTERS[usize::try_from(random % 62).unwrap_or_default()]));
        random /= 62;
    }
    id
}

impl ConnectorBuilder {
    /// Connectors over this transport, with the default capacity.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, job: None, capacity: None, is_lasting: false, is_written: false }
    }

    /// Keeps the connectors of one run apart from those of others on the same broker: `<job>.` stands before the names of their
    /// topics. Both ends must agree on it; [`job_id`] makes one.
    #[must_use]
    pub fn with_job(self, job: impl Into<String>) -> Self {
        Self { job: Some(job.into()), ..self }
    }

    /// Room for so many items, after which senders wait; [`limits::CAPACITY`](crate::limits::CAPACITY) by default.
    #[must_use]
    pub fn with_capacity(self, capacity: NonZeroUsize) -> Self {
        Self { capacity: Some(capacity), ..self }
    }

    /// Their topics stay when nobody has them open; see [`Topic::lasting`].
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { is_lasting: true, ..self }
    }

    /// Items are written also where the transport could carry them as they are. The two ends of a channel must agree on it.
    #[must_use]
    pub fn written(self) -> Self {
        Self { is_written: true, ..self }
    }

    /// The connector of a spec.
    ///
    /// # Errors
    ///
    /// The transport has no such topics, or a name or the capacity is not one.
    pub fn build<T: Carried>(&self, spec: &ConnectorSpec) -> TransportResult<Connector<T>> {
        self.transport.capabilities().has(spec.mode)?;
        let name = match &self.job {
            Some(job) => format!("{job}.{}", spec.topic()),
            None => spec.topic(),
        };
        let mut topic = Topic::new(name, spec.mode)?;
        if let Some(capacity) = self.capacity {
            topic = topic.with_capacity(capacity)?;
        }
        if self.is_lasting {
            topic = topic.lasting();
        }
        Ok(Connector {
            transport: Arc::clone(&self.transport),
            spec: spec.clone(),
            topic,
            is_written: self.is_written,
            items: PhantomData,
        })
    }

    /// One connector for each distinct type of events (C5), with the type.
    ///
    /// # Errors
    ///
    /// A type cannot be a name, or the transport has no topics with subscribers.
    pub fn build_event_connectors<'a, T: Carried>(
        &self,
        event_types: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(&'a str, Connector<T>)>, BuildError> {
        let types: BTreeSet<&str> = event_types.into_iter().collect();
        types.into_iter().map(|of| Ok((of, self.build(&ConnectorSpec::event(of)?)?))).collect()
    }
}

/// Why connectors were not built.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A name cannot be one.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The transport cannot do it.
    #[error(transparent)]
    Transport(#[from] crate::TransportError),
}

/// Joins two sockets. Each call of [`connect_send`](Self::connect_send) and [`connect_recv`](Self::connect_recv) makes an end of its own.
pub struct Connector<T> {
    transport: Arc<dyn Transport>,
    spec: ConnectorSpec,
    topic: Topic,
    is_written: bool,
    items: PhantomData<fn(T) -> T>,
}

impl<T: Carried> Connector<T> {
    /// Which sockets it joins, and how.
    pub fn spec(&self) -> &ConnectorSpec {
        &self.spec
    }

    /// The topic that carries its items.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Another sender. The channel ends when the last one has closed.
    ///
    /// # Errors
    ///
    /// The channel has ended, is open otherwise, or the transport is not reached.
    pub async fn connect_send(&self) -> ChannelResult<Sender<T>> {
        self.connect_send_as(format!("{:x}", uuid::Uuid::now_v7().as_u128()), 1).await
    }

    /// A sender that goes on where one of this name stopped: `number` is that of its next item. Items that come again with numbers
    /// that were received before are left out by the receiver.
    ///
    /// # Errors
    ///
    /// As of [`connect_send`](Self::connect_send).
    pub async fn connect_send_as(&self, name: impl Into<Arc<str>>, number: u64) -> ChannelResult<Sender<T>> {
        let sender = if let Some(local) = self.as_they_are() {
            local.sender(&self.topic).map(|(sender, used)| Sender::here(sender, used, &self.topic))
        } else {
            let outlet = self.transport.outlet(&self.topic).await;
            outlet.map(|outlet| Sender::written(outlet, &self.topic, name.into(), number))
        };
        sender.map_err(|error| self.failed(error))
    }

    /// Another receiver.
    ///
    /// # Errors
    ///
    /// The channel is open otherwise, or the transport is not reached.
    pub async fn connect_recv(&self) -> ChannelResult<Receiver<T>> {
        let receiver = match self.as_they_are() {
            Some(local) => {
                local.receiver(&self.topic).map(|(receiver, used)| Receiver::here(receiver, used, &self.topic))
            }
            None => self.transport.inlet(&self.topic).await.map(|inlet| Receiver::written(inlet, &self.topic)),
        };
        receiver.map_err(|error| self.failed(error))
    }

    /// What carries its items without writing them. What goes to several receivers is written once instead of being cloned.
    fn as_they_are(&self) -> Option<&LocalTransport> {
        let is_written = self.is_written || self.topic.mode() == Mode::PubSub;
        self.transport.local().filter(|_| !is_written)
    }

    fn failed(&self, error: crate::TransportError) -> ChannelError {
        ChannelError::of(self.topic.name(), error)
    }
}

impl<T> Clone for Connector<T> {
    fn clone(&self) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            spec: self.spec.clone(),
            topic: self.topic.clone(),
            is_written: self.is_written,
            items: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Connector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("spec", &self.spec).field("topic", &self.topic).finish_non_exhaustive()
    }
}
