//! What is sent, and what becomes of it.

use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// A message on its way out.
#[derive(Debug, Clone)]
pub(in super::super) struct Message {
    pub(in super::super) exchange: ShortString,
    pub(in super::super) routing_key: ShortString,
    pub(in super::super) mandatory: bool,
    pub(in super::super) reply_to: ReplyTo,
    pub(in super::super) properties: BasicProperties,
    pub(in super::super) body: Arc<[u8]>,
}

/// Which queue of this communicator the reply goes to. Each connection has its own, as the broker may hold those of a connection that
/// was lost for some time.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum ReplyTo {
    Nowhere,
    Tasks,
    Calls,
}

/// The channel that is published on, and the queues for replies that belong to it.
#[derive(Clone)]
pub(in super::super) struct Outlet {
    /// Shared: a clone of lapin's is a dozen of them.
    pub(in super::super) channel: Arc<Channel>,
    pub(in super::super) task_replies: ShortString,
    pub(in super::super) call_replies: ShortString,
}

/// What became of a message.
#[derive(Debug)]
pub(in super::super) enum Sent {
    /// The broker has it.
    Confirmed,
    /// Nobody is there to have it.
    Returned,
    /// The broker refused it: why, where it closed the channel for that.
    Refused(Option<lapin::Error>),
    /// The connection was lost; whether it arrived is not known.
    Lost(Option<lapin::Error>),
}

/// A message that was offered.
#[derive(Debug)]
pub(in super::super) struct Offer {
    pub(in super::super) message: Arc<Message>,
    /// Whether it is sent again if the connection is lost before it is confirmed.
    pub(in super::super) again: bool,
    /// Who waits for what becomes of it; nobody does any more if this is closed. Where nobody waits, that it was refused is logged.
    pub(in super::super) done: Option<oneshot::Sender<Sent>>,
    /// A reply whose queue is not there is sent again until then: a sender whose connection was lost, too, comes back under the same name.
    pub(in super::super) away_until: Option<Instant>,
    /// Its place in the order in which messages were offered; given by the publisher.
    pub(in super::super) order: u64,
    /// Its place among those of its kind.
    pub(in super::super) place: OwnedSemaphorePermit,
}
