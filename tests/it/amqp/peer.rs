//! A bare client of AMQP.

use super::soon;
use crate::broker::Broker;
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use procession::message::{self, ReplyBody};

/// A peer that speaks AMQP only.
pub(crate) struct Peer {
    pub(crate) channel: Channel,
    /// Of its own.
    pub(crate) queue: ShortString,
    _connection: Connection,
}

impl Peer {
    pub(crate) async fn new(broker: &Broker) -> Self {
        let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        Self { channel, queue: queue.name().clone(), _connection: connection }
    }

    pub(crate) async fn bind(&self, exchange: &str, key: &str) {
        let options = QueueBindOptions::default();
        let bound =
            self.channel.queue_bind(self.queue.clone(), exchange.into(), key.into(), options, FieldTable::default());
        bound.await.unwrap();
    }

    /// Sends a body, with a reply to its own queue.
    pub(super) async fn send(&self, exchange: &str, key: &str, body: &[u8]) {
        let properties =
            BasicProperties::default().with_reply_to(self.queue.clone()).with_correlation_id("mine".into());
        self.send_with(exchange, key, body, properties).await;
    }

    /// The same as a task with this id.
    pub(super) async fn send_as(&self, exchange: &str, key: &str, body: &[u8], id: &str) {
        let properties = BasicProperties::default().with_reply_to(self.queue.clone()).with_message_id(id.into());
        self.send_with(exchange, key, body, properties.with_correlation_id("mine".into())).await;
    }

    pub(super) async fn send_with(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.unwrap();
    }

    /// The next message in its queue, or in another.
    pub(super) async fn next(&self, queue: &ShortString) -> Delivery {
        let get = || self.channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true });
        let mut got = None;
        soon("a message", async {
            while got.is_none() {
                got = get().await.unwrap();
            }
        })
        .await;
        got.unwrap().delivery
    }

    pub(super) async fn reply(&self) -> ReplyBody {
        let delivery = self.next(&self.queue).await;
        assert_eq!(delivery.properties.correlation_id().as_ref().unwrap().as_str(), "mine");
        ReplyBody::try_from(message::decode(&delivery.data).unwrap()).unwrap()
    }

    /// The reply after all that say that it follows.
    pub(super) async fn last_reply(&self) -> ReplyBody {
        loop {
            let reply = self.reply().await;
            if reply != ReplyBody::Pending {
                return reply;
            }
        }
    }

    /// Declares a durable queue.
    pub(super) async fn declare(&self, queue: &str) {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    }
}
