//! What travels, as AMQP has it (wire.md 3): properties, bodies, errors.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{FieldTable, ShortString};
use std::sync::Arc;
use uuid::Uuid;

use super::publish::{Message, ReplyTo};
use crate::communicator::{CommunicatorError, CommunicatorResult, ReplyAddress};
use crate::message::{self, Broadcast, Node, TaskEnvelope};

/// What the routing keys of calls begin with.
pub(super) const RPC: &str = "[rpc].";
/// The routing key of every broadcast.
pub(super) const BROADCAST: &str = "[broadcast]";

/// A text that is known to be short enough.
pub(super) fn short(text: impl Into<String>) -> CommunicatorResult<ShortString> {
    ShortString::try_new(text)
        .map_err(|error| CommunicatorError::Malformed { what: "written", reason: error.to_string() })
}

/// What every message has.
pub(super) fn properties(delivery_mode: u8, message_id: ShortString) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(delivery_mode)
        .with_priority(0)
        .with_headers(FieldTable::default())
        .with_message_id(message_id)
}

/// A message id as kiwipy makes them: 32 hexadecimal digits.
pub(super) fn message_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The bytes of a body.
pub(super) fn encode(node: &Node) -> CommunicatorResult<Arc<[u8]>> {
    Ok(Arc::from(message::encode(node)?))
}

/// The value of a body.
pub(super) fn decode(body: &[u8]) -> Result<Node, String> {
    message::decode(body).map_err(|error| error.to_string())
}

/// What the body of a task says.
pub(super) fn read_task(body: &[u8]) -> Result<TaskEnvelope, String> {
    TaskEnvelope::try_from(decode(body)?).map_err(|error| error.to_string())
}

/// What the body of a broadcast says.
pub(super) fn read_broadcast(body: &[u8]) -> Result<Broadcast, String> {
    Broadcast::try_from(decode(body)?).map_err(|error| error.to_string())
}

/// An error of the broker or of the way to it.
pub(super) fn broker(action: &'static str) -> impl FnOnce(lapin::Error) -> CommunicatorError {
    move |error| CommunicatorError::Broker { action, source: Arc::new(error) }
}

/// The start of a body, for a line of log.
pub(super) fn excerpt(body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    if body.len() > 200 {
        text.push('…');
    }
    text
}

/// Where the reply to a message goes.
pub(super) fn reply_address(delivery: &Delivery) -> Option<ReplyAddress> {
    let queue = delivery.properties.reply_to().as_ref()?;
    let correlation_id = delivery.properties.correlation_id().as_ref()?;
    Some(ReplyAddress {
        exchange: delivery.exchange.to_string(),
        queue: queue.to_string(),
        correlation_id: correlation_id.to_string(),
    })
}

/// What tells a task from others: its message id, or what its sender knows it by, which is the sender's own.
pub(super) fn task_id(delivery: &Delivery) -> String {
    let properties = &delivery.properties;
    if let Some(id) = properties.message_id() {
        return id.to_string();
    }
    match (properties.correlation_id(), properties.reply_to()) {
        (Some(id), Some(sender)) => format!("{id} of {sender}"),
        (Some(id), None) => id.to_string(),
        (None, _) => message_id(),
    }
}

/// A reply, without its way.
pub(super) fn reply(to: &ReplyAddress, body: Arc<[u8]>) -> CommunicatorResult<Message> {
    let properties = properties(1, short(message_id())?).with_correlation_id(short(to.correlation_id.as_str())?);
    Ok(Message {
        exchange: short(to.exchange.as_str())?,
        routing_key: short(to.queue.as_str())?,
        mandatory: true,
        reply_to: ReplyTo::Nowhere,
        properties,
        body,
    })
}
