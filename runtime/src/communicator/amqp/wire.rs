//! What travels, as AMQP has it (wire.md 3): properties, bodies, errors.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{FieldTable, ShortString};
use std::sync::Arc;
use uuid::Uuid;

use super::publish::{Message, ReplyTo};
use crate::communicator::{CommunicatorError, CommunicatorResult, Refusal, ReplyAddress};
use crate::message::{self, Broadcast, Node};

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
    message::encode(node)
        .map(Arc::from)
        .map_err(|error| CommunicatorError::Malformed { what: "written", reason: error.to_string() })
}

/// The value of a body.
pub(super) fn decode(body: &[u8]) -> Result<Node, String> {
    message::decode(body).map_err(|error| error.to_string())
}

/// The body of a task: what is to be done, and whether no reply is wanted.
pub(super) fn task_body(payload: Node, no_reply: bool) -> Node {
    Node::Sequence(vec![payload, Node::Bool(no_reply)])
}

/// What the body of a task says.
pub(super) fn read_task(body: &[u8]) -> Result<(Node, bool), String> {
    let node = match decode(body)? {
        Node::Tagged(tagged) if tagged.node.as_sequence().is_some() => tagged.node,
        node => node,
    };
    let Node::Sequence(parts) = node else { return Err("the body of a task is a sequence of two".to_owned()) };
    let parts: [Node; 2] = parts.try_into().map_err(|_| "the body of a task is a sequence of two".to_owned())?;
    let [payload, no_reply] = parts;
    // As Python sees it: nothing, zero and empty are no.
    let no_reply = match no_reply {
        Node::Null => false,
        Node::Bool(truth) => truth,
        Node::Integer(integer) => integer != 0,
        _ => true,
    };
    Ok((payload, no_reply))
}

/// What is said to the sender at the end.
pub(super) fn final_reply(answer: Result<Node, Refusal>) -> (&'static str, Node) {
    match answer {
        Ok(node) => ("result", node),
        Err(Refusal::Cancelled(text)) => ("cancelled", Node::text(text)),
        Err(Refusal::Rejected(text) | Refusal::Failed(text)) => ("exception", Node::text(text)),
    }
}

/// The body of a broadcast: all four keys, always.
pub(super) fn broadcast_body(broadcast: Broadcast) -> Node {
    Node::mapping([
        ("body", broadcast.body),
        ("correlation_id", broadcast.correlation_id),
        ("sender", broadcast.sender),
        ("subject", broadcast.subject.into()),
    ])
}

/// What the body of a broadcast says; a key that is absent is null.
pub(super) fn read_broadcast(body: &[u8]) -> Result<Broadcast, String> {
    let node = decode(body)?;
    let Node::Mapping(entries) = node else { return Err("the body of a broadcast is a mapping".to_owned()) };
    let mut broadcast = Broadcast::default();
    for (key, node) in entries {
        match key.as_text() {
            Some("body") => broadcast.body = node,
            Some("sender") => broadcast.sender = node,
            Some("correlation_id") => broadcast.correlation_id = node,
            Some("subject") => {
                broadcast.subject = match node {
                    Node::Null => None,
                    Node::Text(text) => Some(text),
                    node => Some(node.to_string()),
                }
            }
            _ => {}
        }
    }
    Ok(broadcast)
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

/// What tells a task from others: its message id, or what its sender knows it by.
pub(super) fn task_id(delivery: &Delivery) -> String {
    let properties = &delivery.properties;
    let id = properties.message_id().as_ref().or(properties.correlation_id().as_ref());
    id.map_or_else(message_id, ToString::to_string)
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
