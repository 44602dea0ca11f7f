//! A client over plain AMQP, which knows nothing of this library: what it sees is what is on the wire.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use procession::message::{Node, decode};
use std::time::{Duration, Instant};

use super::peers::Names;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for one.
const POLL: Duration = Duration::from_millis(5);

/// Asks tasks and calls, and takes their replies as they come.
pub(crate) struct Raw {
    names: Names,
    channel: Channel,
    _connection: Connection,
}

/// The replies to one request: how many said that another one follows, and the last one.
#[derive(Debug, PartialEq)]
pub(crate) struct Replies {
    pub(crate) pendings: usize,
    pub(crate) last: Node,
    /// Whether each named the host that sent it.
    pub(crate) hosts: bool,
}

impl Raw {
    pub(crate) async fn new(names: &Names) -> Self {
        let connection =
            Connection::connect(&names.url, ConnectionProperties::default()).await.expect("the broker is there");
        let channel = connection.create_channel().await.expect("it gives channels");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("it confirms");
        Self { names: names.clone(), channel, _connection: connection }
    }

    /// Sends a task with this body; its replies.
    pub(crate) async fn task(&self, body: &str) -> Replies {
        let (exchange, queue) = (&self.names.task_exchange, &self.names.task_queue);
        self.request(exchange, queue, body).await.expect("the queue of tasks is there")
    }

    /// Calls a process; its replies, or none if nobody is there.
    pub(crate) async fn rpc(&self, recipient: &str, body: &str) -> Option<Replies> {
        self.request(&self.names.message_exchange, &format!("[rpc].{recipient}"), body).await
    }

    /// Says something to everybody.
    pub(crate) async fn broadcast(&self, body: &str) {
        let exchange = &self.names.message_exchange;
        self.publish(exchange, "[broadcast]", body, BasicProperties::default()).await;
    }

    async fn request(&self, exchange: &str, key: &str, body: &str) -> Option<Replies> {
        // A queue for each request: whatever comes there belongs to it.
        let correlation = uuid::Uuid::new_v4().to_string();
        let queue = format!("raw-reply-{correlation}");
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(queue.as_str().into(), exclusive, FieldTable::default()).await;
        declared.expect("a queue can be declared");
        let (name, at) = (queue.as_str(), QueueBindOptions::default());
        let bound = self.channel.queue_bind(name.into(), exchange.into(), name.into(), at, FieldTable::default()).await;
        bound.expect("the exchange is there");
        let asked = BasicProperties::default()
            .with_correlation_id(correlation.as_str().into())
            .with_reply_to(name.into())
            .with_delivery_mode(2);
        if !self.publish(exchange, key, body, asked).await {
            return None;
        }
        let (mut pendings, mut hosts) = (0, true);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let got = self.channel.basic_get(name.into(), BasicGetOptions { no_ack: true }).await;
            let Some(message) = got.expect("a queue can be read") else {
                tokio::time::sleep(POLL).await;
                continue;
            };
            let properties = &message.properties;
            assert_eq!(
                properties.correlation_id().as_ref().map(lapin::types::ShortString::as_str),
                Some(correlation.as_str())
            );
            assert_eq!((message.exchange.as_str(), *properties.delivery_mode()), (exchange, Some(1)));
            let body = decode(&message.data).expect("a reply can be read");
            hosts &= body.get("host").is_some_and(|host| host.get("pid").is_some() && host.get("hostname").is_some());
            if body.get("pending").is_none() {
                return Some(Replies { pendings, last: body, hosts });
            }
            pendings += 1;
        }
        panic!("no final reply to {body} after {pendings} pendings");
    }

    /// Puts a message into a queue.
    pub(crate) async fn put(channel: &Channel, queue: &str) {
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("".into(), queue.into(), options, b"null", BasicProperties::default()).await;
        sent.expect("it can be sent").await.expect("it is sent");
    }

    /// Whether the message arrived anywhere.
    async fn publish(&self, exchange: &str, key: &str, body: &str, properties: BasicProperties) -> bool {
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent =
            self.channel.basic_publish(exchange.into(), key.into(), mandatory, body.as_bytes(), properties).await;
        let confirmed = sent.expect("it can be sent").await.expect("the broker confirms");
        matches!(confirmed, Confirmation::Ack(None))
    }
}

impl Replies {
    pub(crate) fn result(&self) -> &Node {
        self.last.get("result").unwrap_or_else(|| panic!("no result: {self:?}"))
    }

    pub(crate) fn exception(&self) -> &str {
        let text = self.last.get("exception").and_then(Node::as_text);
        text.unwrap_or_else(|| panic!("no exception: {self:?}"))
    }
}
