//! Exchanges and queues of a topic, by the names of C24 to C26, and two queues more that count who is there.

use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer, ExchangeKind};

use super::link::{Lost, answered, failed_of};
use crate::{Mode, Topic, TransportError, TransportResult, limits};

/// A topic with its names at the broker.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) topic: Topic,
    /// Its exchange, the queue of a pipeline, and the key of what goes there.
    pub(super) name: ShortString,
    /// The queue that each open outlet consumes from, and nothing ever goes to: its consumers are counted.
    pub(super) senders: ShortString,
    /// The queue that each open inlet consumes from: its consumers are counted, and the end goes there, once for each of them and once
    /// more for who comes later.
    pub(super) receivers: ShortString,
}

/// How much waits in a queue, and how many consume from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) ready: usize,
    pub(super) consumers: usize,
}

impl Place {
    pub(super) fn new(topic: &Topic) -> TransportResult<Self> {
        let name = topic.name();
        if name.starts_with("amq.") {
            let reason = "the broker keeps names that begin with `amq.` to itself".to_owned();
            return Err(TransportError::Name { name: name.to_owned(), what: "a topic", reason });
        }
        Ok(Self {
            topic: topic.clone(),
            name: short(name)?,
            senders: short(&format!("{name}.senders"))?,
            receivers: short(&format!("{name}.receivers"))?,
        })
    }

    pub(super) fn mode(&self) -> Mode {
        self.topic.mode()
    }

    pub(super) fn failed(&self, what: &'static str) -> impl FnOnce(Lost) -> TransportError {
        move |lost| failed_of(self.topic.name(), what, lost)
    }

    /// Its exchange, and the queue of a pipeline, which says how much is in it.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<Counts, Lost> {
        let (kind, is_pipeline) = match self.mode() {
            Mode::Pipeline => (ExchangeKind::Direct, true),
            Mode::PubSub => (ExchangeKind::Fanout, false),
        };
        let options = ExchangeDeclareOptions {
            durable: true,
            auto_delete: !self.topic.is_lasting(),
            ..ExchangeDeclareOptions::default()
        };
        answered(channel.exchange_declare(self.name.clone(), kind, options, FieldTable::default())).await?;
        if !is_pipeline {
            return Ok(Counts { ready: 0, consumers: 0 });
        }
        let counts = self.count(channel).await?;
        self.bind(channel, &self.name).await?;
        Ok(counts)
    }

    /// The queue of a pipeline. It is declared as it is: to declare it again also says that it is in use.
    ///
    /// It is no auto-delete queue: what a lost receiver had waits for the next one. Unless it lasts, it expires.
    pub(super) async fn count(&self, channel: &Channel) -> Result<Counts, Lost> {
        let most = self.topic.capacity().saturating_mul(limits::QUEUE_SLACK);
        let mut arguments = bounded(most);
        expires(&mut arguments, !self.topic.is_lasting());
        queue(channel, &self.name, durable(), arguments).await
    }

    pub(super) async fn count_senders(&self, channel: &Channel) -> Result<Counts, Lost> {
        let mut arguments = FieldTable::default();
        expires(&mut arguments, true);
        queue(channel, &self.senders, durable(), arguments).await
    }

    pub(super) async fn count_receivers(&self, channel: &Channel) -> Result<Counts, Lost> {
        let mut arguments = FieldTable::default();
        expires(&mut arguments, !self.topic.is_lasting());
        queue(channel, &self.receivers, durable(), arguments).await
    }

    /// The queue of one subscriber, with room for the end beside what the capacity says.
    pub(super) async fn subscribe(&self, channel: &Channel, name: &ShortString) -> Result<Counts, Lost> {
        let counts = private(channel, name, self.topic.capacity() + 1).await?;
        self.bind(channel, name).await?;
        Ok(counts)
    }

    async fn bind(&self, channel: &Channel, queue: &ShortString) -> Result<(), Lost> {
        let key = if self.mode() == Mode::Pipeline { self.name.clone() } else { ShortString::default() };
        let options = QueueBindOptions::default();
        answered(channel.queue_bind(queue.clone(), self.name.clone(), key, options, FieldTable::default())).await
    }

    /// Whether what is sent is to be written to the broker's disk.
    pub(super) fn properties(&self) -> BasicProperties {
        BasicProperties::default().with_delivery_mode(if self.topic.is_lasting() { 2 } else { 1 })
    }
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }
}

/// A queue that goes with who consumes from it, and nobody else can.
pub(super) async fn private(channel: &Channel, name: &ShortString, capacity: usize) -> Result<Counts, Lost> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    queue(channel, name, options, bounded(capacity)).await
}

async fn queue(
    channel: &Channel,
    name: &ShortString,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<Counts, Lost> {
    let queue = answered(channel.queue_declare(name.clone(), options, arguments)).await?;
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(Counts { ready: count(queue.message_count()), consumers: count(queue.consumer_count()) })
}

/// A queue that refuses what it has no room for: the broker tells the sender so.
fn bounded(capacity: usize) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), i64::try_from(capacity).unwrap_or(i64::MAX).into());
    arguments.insert("x-overflow".into(), lapin::types::AMQPValue::LongString("reject-publish".into()));
    arguments
}

fn expires(arguments: &mut FieldTable, expires: bool) {
    if expires {
        arguments.insert("x-expires".into(), i64::try_from(limits::UNUSED.as_millis()).unwrap_or(i64::MAX).into());
    }
}

/// Consumes from a queue; the consumer's prefetch is what the channel was told last.
pub(super) async fn consume(channel: &Channel, queue: &ShortString) -> Result<Consumer, Lost> {
    consume_as(channel, queue, false).await
}

/// The same; `exclusive`: nobody else does meanwhile.
pub(super) async fn consume_as(channel: &Channel, queue: &ShortString, exclusive: bool) -> Result<Consumer, Lost> {
    let options = BasicConsumeOptions { exclusive, ..BasicConsumeOptions::default() };
    answered(channel.basic_consume(queue.clone(), ShortString::default(), options, FieldTable::default())).await
}

/// A name that the broker can have.
pub(super) fn short(name: &str) -> TransportResult<ShortString> {
    ShortString::try_new(name).map_err(|error| TransportError::Name {
        name: name.chars().take(100).collect(),
        what: "a queue",
        reason: error.to_string(),
    })
}
