//! Exchanges and queues, with exactly the properties of wire.md 2: every client declares them, and another's are refused.

use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer, ExchangeKind};

/// How long a call or a broadcast waits for its consumer.
const MESSAGE_TTL: i32 = 66_000;
/// How long a private queue outlives its last use.
const EXPIRES: i32 = 60_000;
/// How long a task waits for a worker: seven days.
const TASK_TTL: i32 = 604_800_000;

/// Declares an exchange. Transient, as by kiwipy: who declares one that exists otherwise is refused. It is declared again whenever the
/// broker is back.
pub(super) async fn exchange(channel: &Channel, name: &ShortString) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions::default();
    channel.exchange_declare(name.clone(), ExchangeKind::Topic, options, FieldTable::default()).await
}

/// Declares a queue of tasks and binds it. Nothing that is shared is transient: a broker of a later version refuses that.
pub(super) async fn task_queue(channel: &Channel, exchange: &ShortString, name: &ShortString) -> lapin::Result<()> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), options, arguments(&[("x-message-ttl", TASK_TTL)])).await?;
    bind(channel, name, exchange, name, false).await
}

/// Declares a durable queue without anything else.
pub(super) async fn parking_queue(channel: &Channel, name: &ShortString) -> lapin::Result<()> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), options, FieldTable::default()).await.map(drop)
}

/// Declares a private queue of replies, and consumes it.
pub(super) async fn replies(channel: &Channel, exchange: &ShortString, name: &ShortString) -> lapin::Result<Consumer> {
    private(channel, name, &[("x-expires", EXPIRES)]).await?;
    bind(channel, name, exchange, name, false).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(name.clone(), ShortString::default(), options, FieldTable::default()).await
}

/// Declares the private queue of calls, and consumes it.
pub(super) async fn calls(channel: &Channel, name: &ShortString) -> lapin::Result<Consumer> {
    private(channel, name, &[("x-message-ttl", MESSAGE_TTL), ("x-expires", EXPIRES)]).await?;
    consume(channel, name).await
}

/// Declares the private queue of broadcasts, consumes and binds it.
pub(super) async fn broadcasts(
    channel: &Channel,
    exchange: &ShortString,
    name: &ShortString,
) -> lapin::Result<Consumer> {
    private(channel, name, &[("x-message-ttl", MESSAGE_TTL)]).await?;
    let consumer = consume(channel, name).await?;
    bind(channel, name, exchange, &super::wire::BROADCAST.into(), false).await?;
    Ok(consumer)
}

/// Consumes a queue; what comes is acknowledged one by one.
pub(super) async fn consume(channel: &Channel, queue: &ShortString) -> lapin::Result<Consumer> {
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    channel.basic_consume(queue.clone(), tag, options, FieldTable::default()).await
}

pub(super) async fn cancel(channel: &Channel, consumer_tag: ShortString) -> lapin::Result<()> {
    channel.basic_cancel(consumer_tag, BasicCancelOptions::default()).await
}

/// Removes a private queue before its connection ends.
pub(super) async fn delete(channel: &Channel, queue: &ShortString) -> lapin::Result<()> {
    channel.queue_delete(queue.clone(), QueueDeleteOptions::default()).await.map(drop)
}

/// Binds a queue. Without waiting, it holds as soon as something that is waited for afterwards has come back.
pub(super) async fn bind(
    channel: &Channel,
    queue: &ShortString,
    exchange: &ShortString,
    key: &ShortString,
    nowait: bool,
) -> lapin::Result<()> {
    let options = QueueBindOptions { nowait };
    channel.queue_bind(queue.clone(), exchange.clone(), key.clone(), options, FieldTable::default()).await
}

pub(super) async fn unbind(
    channel: &Channel,
    queue: &ShortString,
    exchange: &ShortString,
    key: &ShortString,
) -> lapin::Result<()> {
    channel.queue_unbind(queue.clone(), exchange.clone(), key.clone(), FieldTable::default()).await
}

async fn private(channel: &Channel, name: &ShortString, integers: &[(&'static str, i32)]) -> lapin::Result<()> {
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), options, arguments(integers)).await.map(drop)
}

fn arguments(integers: &[(&'static str, i32)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, integer) in integers {
        table.insert((*name).into(), (*integer).into());
    }
    table
}
