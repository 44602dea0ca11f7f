//! The limits of W3, W6 and broadcasts: lapin itself, with nothing of what a runtime of processes does.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_core::Stream;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions};
use lapin::options::{ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::sync::oneshot;

use super::worker::{Worker, ready};

/// Twice as many as are in flight.
pub(super) const PREFETCH: u16 = 200;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Persistent requests that are confirmed, from a durable queue, acknowledged.
    Tasks,
    /// Transient requests that are confirmed, acknowledged when they have come.
    Calls,
    /// The messages of kiwipy, and no more: tasks through a topic exchange, a reply that says that another follows, and that;
    /// everything is confirmed.
    WireTasks,
    /// Calls through a topic exchange; everything is confirmed.
    WireCalls,
}

impl Kind {
    fn queue(self) -> &'static str {
        match self {
            Self::Tasks => "raw.tasks",
            Self::Calls => "raw.calls",
            Self::WireTasks => "raw.wire.tasks",
            Self::WireCalls => "raw.wire.calls",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Calls => "calls",
            Self::WireTasks => "wire-tasks",
            Self::WireCalls => "wire-calls",
        }
    }

    pub(crate) fn of(word: &str) -> Self {
        [Self::Tasks, Self::Calls, Self::WireTasks, Self::WireCalls]
            .into_iter()
            .find(|kind| kind.word() == word)
            .expect("a kind")
    }

    async fn declare(self, channel: &Channel) {
        let durable = self.durable();
        let options = QueueDeclareOptions { durable, exclusive: false, auto_delete: !durable, ..Default::default() };
        channel.queue_declare(self.queue().into(), options, FieldTable::default()).await.expect("a queue");
        self.bind(channel, self.queue().into()).await;
    }

    fn durable(self) -> bool {
        matches!(self, Self::Tasks | Self::WireTasks)
    }

    fn confirms_replies(self) -> bool {
        matches!(self, Self::WireTasks | Self::WireCalls)
    }

    /// The default exchange, where none is asked for.
    fn exchange(self) -> &'static str {
        match self {
            Self::Tasks | Self::Calls => "",
            Self::WireTasks | Self::WireCalls => "amq.topic",
        }
    }

    async fn bind(self, channel: &Channel, queue: ShortString) {
        if !self.exchange().is_empty() {
            let options = QueueBindOptions::default();
            let bound =
                channel.queue_bind(queue.clone(), self.exchange().into(), queue, options, FieldTable::default());
            bound.await.expect("bound");
        }
    }
}

pub(super) async fn connect(url: &str) -> Connection {
    Connection::connect(url, ConnectionProperties::default()).await.expect("a connection")
}

/// The next message, and with it all that are there.
pub(super) async fn next(consumer: &mut Consumer) -> Vec<Delivery> {
    let mut batch = Vec::new();
    poll_fn(|context| {
        while let Poll::Ready(delivery) = Pin::new(&mut *consumer).poll_next(context) {
            batch.push(delivery.expect("the consumer goes on").expect("a delivery"));
        }
        if batch.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    batch
}

/// What is asked, and what comes back.
fn request(number: u64) -> String {
    format!("{{\"a\": {number}, \"b\": 1}}")
}

fn answer(request: &[u8]) -> String {
    let request: HashMap<&str, u64> = serde_json::from_slice(request).expect("a request");
    (request["a"] + request["b"]).to_string()
}

/// Answers in another OS process.
pub(crate) async fn serve(url: &str, kind: Kind) {
    let connection = connect(url).await;
    let (consuming, publishing) =
        (connection.create_channel().await.expect("a channel"), connection.create_channel().await.expect("a channel"));
    kind.declare(&consuming).await;
    if kind.confirms_replies() {
        publishing.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    }
    consuming.basic_qos(PREFETCH, BasicQosOptions::default()).await.expect("a prefetch");
    let mut consumer = consuming
        .basic_consume(kind.queue().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .expect("a consumer");
    ready("");
    loop {
        let batch = next(&mut consumer).await;
        let last = batch.last().expect("not empty").acker.clone();
        for delivery in batch {
            let publishing = publishing.clone();
            tokio::spawn(async move { reply(kind, &publishing, delivery).await });
        }
        // While this is written the next batch gathers.
        last.ack(BasicAckOptions { multiple: true }).await.expect("acknowledged");
    }
}

async fn reply(kind: Kind, channel: &Channel, delivery: Delivery) {
    let to = delivery.properties.reply_to().clone().expect("an address");
    let id = delivery.properties.correlation_id().clone().expect("an id");
    let properties = BasicProperties::default().with_delivery_mode(1).with_correlation_id(id);
    let options = BasicPublishOptions::default();
    let body = answer(&delivery.data);
    let publish = |body| channel.basic_publish(kind.exchange().into(), to.clone(), options, body, properties.clone());
    let mut confirms = Vec::new();
    if kind == Kind::WireTasks {
        confirms.push(publish(FOLLOWS).await.expect("sent"));
    }
    confirms.push(publish(body.as_bytes()).await.expect("sent"));
    for confirm in confirms {
        confirm.await.expect("confirmed");
    }
}

/// The reply that says that another follows.
const FOLLOWS: &[u8] = b"{}";

type Waiting = HashMap<u64, oneshot::Sender<Vec<u8>>>;

/// Asks.
pub(crate) struct Client {
    _worker: Worker,
    kind: Kind,
    channel: Channel,
    reply_to: ShortString,
    waiting: Arc<Mutex<Waiting>>,
    _connection: Connection,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    pub(crate) async fn start(url: &str, kind: Kind) -> Self {
        let worker = Worker::start(&["raw", kind.word(), url]);
        let connection = connect(url).await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let consuming = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let queue = consuming.queue_declare("".into(), options, FieldTable::default()).await.expect("a queue");
        let reply_to = queue.name().clone();
        kind.bind(&consuming, reply_to.clone()).await;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = consuming.basic_consume(reply_to.clone(), "".into(), options, FieldTable::default());
        let mut replies = consumer.await.expect("a consumer");
        let waiting = Arc::new(Mutex::new(Waiting::new()));
        let asked = Arc::clone(&waiting);
        tokio::spawn(async move {
            loop {
                for delivery in next(&mut replies).await {
                    if delivery.data == FOLLOWS {
                        continue;
                    }
                    let id = delivery.properties.correlation_id().as_ref().expect("an id").as_str().parse();
                    let asked = lock(&asked).remove(&id.expect("a number")).expect("asked once");
                    let _ = asked.send(delivery.data);
                }
            }
        });
        Self { _worker: worker, kind, channel, reply_to, waiting, _connection: connection }
    }

    pub(crate) async fn call(&self, number: u64) {
        let (asked, replied) = oneshot::channel();
        lock(&self.waiting).insert(number, asked);
        let id: ShortString = number.to_string().into();
        let mode = if self.kind.durable() { 2 } else { 1 };
        let properties = BasicProperties::default()
            .with_delivery_mode(mode)
            .with_correlation_id(id)
            .with_reply_to(self.reply_to.clone());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let body = request(number);
        let sent = self.channel.basic_publish(
            self.kind.exchange().into(),
            self.kind.queue().into(),
            options,
            body.as_bytes(),
            properties,
        );
        let confirm = sent.await.expect("sent").await.expect("confirmed");
        assert!(!confirm.is_nack() && confirm.take_message().is_none(), "routed");
        let reply = replied.await.expect("a reply");
        assert_eq!(reply, (number + 1).to_string().as_bytes());
    }
}
