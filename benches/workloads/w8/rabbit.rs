//! Over RabbitMQ: the limit is lapin with confirms, 500 on the way to the receiver, and acknowledgements by the hundred.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_core::Stream as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use procession::transport::{AmqpOptions, AmqpTransport, Transport};

use super::{WARM_UP, rate, text, through};
use crate::broker::{self, Broker};
use crate::measure::{Bench, Sample, tokio};
use crate::report::Row;

/// Messages that the broker has not confirmed, and those on the way to the receiver.
const AHEAD: usize = 500;
const ACKS: usize = 100;

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    let names = [(false, "RabbitMQ, transient"), (true, "RabbitMQ, persistent")];
    if broker::programs().is_none() {
        eprintln!("\nNOT MEASURED: W8 over RabbitMQ. It is not installed; `cargo xtask bench` installs it.\n");
        return names.map(|(_, name)| Row::not_measured("W8", name, "items/s")).into();
    }
    let broker = Broker::start(&[]);
    let items = bench.count(60_000, 2_000);
    let row = |(is_lasting, name)| {
        let ours = || tokio().block_on(ours(broker.url(), items, is_lasting));
        let limit = || tokio().block_on(limit(broker.url(), items, is_lasting));
        Row::new("W8", name, "items/s", "≥ 0.80", bench.case(ours, limit))
    };
    names.map(row).into()
}

async fn ours(url: String, items: usize, is_lasting: bool) -> Sample {
    let connect = async || Arc::new(AmqpTransport::connect(AmqpOptions::new(url.clone())).await.expect("a connection"));
    let (from, to) = (connect().await, connect().await);
    let (sends, receives) = (Arc::<AmqpTransport>::clone(&from), Arc::<AmqpTransport>::clone(&to));
    // As a task: the thread that blocks on it has no place in the runtime.
    let sample = tokio::spawn(through(sends, receives, items, is_lasting)).await.expect("it ran");
    for transport in [from, to] {
        transport.close().await.expect("closed");
    }
    sample
}

async fn channel(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

async fn limit(url: String, items: usize, is_persistent: bool) -> Sample {
    let queue = format!("raw.{is_persistent}");
    let (one, channel_of_sender) = channel(&url).await;
    let (other, channel) = channel(&url).await;
    let options =
        QueueDeclareOptions { durable: is_persistent, auto_delete: !is_persistent, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.expect("a queue");
    channel.basic_qos(u16::try_from(AHEAD).expect("small"), BasicQosOptions::default()).await.expect("a prefetch");
    let tag = "raw".into();
    let consumer =
        channel.basic_consume(queue.as_str().into(), tag, BasicConsumeOptions::default(), FieldTable::default()).await;
    let sending = tokio::spawn(publish(channel_of_sender, queue, WARM_UP + items, is_persistent));
    let sample = tokio::spawn(async move {
        let (mut consumer, mut start) = (consumer.expect("a consumer"), Instant::now());
        for expected in 0..WARM_UP + items {
            let delivery =
                poll_fn(|cx| Pin::new(&mut consumer).poll_next(cx)).await.expect("a delivery").expect("whole");
            assert_eq!(delivery.data, text(expected).as_bytes());
            if (expected + 1) % ACKS == 0 {
                delivery.ack(BasicAckOptions { multiple: true }).await.expect("acknowledged");
            }
            if expected + 1 == WARM_UP {
                start = Instant::now();
            }
        }
        rate(items, start.elapsed())
    });
    let sample = sample.await.expect("it ran");
    sending.await.expect("sent");
    for connection in [one, other] {
        // Its channels may be on their way to be closed, as nobody has them any more.
        let _ = connection.close(200, "done".into()).await;
    }
    sample
}

async fn publish(channel: Channel, queue: String, items: usize, is_persistent: bool) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let properties = BasicProperties::default().with_delivery_mode(if is_persistent { 2 } else { 1 });
    let mut confirms = VecDeque::new();
    for number in 0..items {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let body = text(number);
        let confirm =
            channel.basic_publish("".into(), queue.as_str().into(), options, body.as_bytes(), properties.clone());
        confirms.push_back(confirm.await.expect("published"));
        if confirms.len() >= AHEAD
            && let Some(confirm) = confirms.pop_front()
        {
            assert!(confirm.await.expect("confirmed").is_ack());
        }
    }
    for confirm in confirms {
        assert!(confirm.await.expect("confirmed").is_ack());
    }
}
