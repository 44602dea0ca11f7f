//! How much the transport over RabbitMQ carries, beside lapin as it is: confirms, a prefetch of 500, an acknowledgement for 100.
//!
//! `cargo bench -p procession-transport --features amqp --bench amqp` starts a server of its own.

// What cannot go on panics: nobody else depends on it.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "../../tests/it/broker.rs"]
mod broker;
#[allow(dead_code)]
#[path = "../../tests/it/private.rs"]
mod private;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions};
use lapin::options::{ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use procession_transport::{AmqpOptions, AmqpTransport, Content, Envelope, Kind, Mode, Topic, Transport};

const ROUNDS: usize = 5;
const BODY: usize = 1_024;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let broker = broker::Broker::start(&[]);
    for (name, is_persistent, count) in [("transient", false, 8_000), ("persistent", true, 5_000)] {
        let mut shares = Vec::new();
        for round in 0..=ROUNDS {
            let ours = runtime.block_on(ours(&broker.url(), is_persistent, count, round));
            let raw = runtime.block_on(raw(&broker.url(), is_persistent, count, round));
            let rate = |time: Duration| f64::from(count) / time.as_secs_f64();
            println!("{name}: {:.0} beside {:.0} messages/s", rate(ours), rate(raw));
            // The first round warms up.
            if round > 0 {
                shares.push(raw.as_secs_f64() / ours.as_secs_f64());
            }
        }
        shares.sort_by(f64::total_cmp);
        println!("{name}: {:.2} of lapin as it is", shares[shares.len() / 2]);
    }
}

async fn ours(url: &str, is_persistent: bool, count: u32, round: usize) -> Duration {
    let transport = AmqpTransport::connect(AmqpOptions::new(url)).await.unwrap();
    let topic = Topic::new(format!("ours.{is_persistent}.{round}"), Mode::Pipeline).unwrap();
    let topic = if is_persistent { topic.lasting() } else { topic };
    let mut inlet = transport.inlet(&topic).await.unwrap();
    let mut outlet = transport.outlet(&topic).await.unwrap();
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        let body = Bytes::from(vec![b'x'; BODY]);
        for number in 1..=u64::from(count) {
            let envelope = Envelope { number, ..Envelope::new(Kind::Data, "one".into(), Content::Bytes, body.clone()) };
            outlet.send(envelope).await.unwrap();
        }
        outlet.flush().await.unwrap();
        outlet
    });
    for number in 1..=u64::from(count) {
        let delivery = inlet.recv().await.unwrap().unwrap();
        assert_eq!(delivery.envelope.number, number);
        delivery.receipt.ack();
    }
    let mut outlet = sending.await.unwrap();
    let time = began.elapsed();
    outlet.close().await.unwrap();
    assert!(inlet.recv().await.unwrap().is_none());
    inlet.close().await.unwrap();
    transport.close().await.unwrap();
    time
}

async fn raw(url: &str, is_persistent: bool, count: u32, round: usize) -> Duration {
    let queue: lapin::types::ShortString = format!("raw.{is_persistent}.{round}").as_str().into();
    let connect = || Connection::connect(url, ConnectionProperties::default());
    let (sending, receiving) = (connect().await.unwrap(), connect().await.unwrap());
    let (from, to) = (sending.create_channel().await.unwrap(), receiving.create_channel().await.unwrap());
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    from.queue_declare(queue.clone(), options, FieldTable::default()).await.unwrap();
    from.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    to.basic_qos(500, BasicQosOptions::default()).await.unwrap();
    let consumer =
        to.basic_consume(queue.clone(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await;
    let mut consumer = consumer.unwrap();
    let began = Instant::now();
    let sending_task = tokio::spawn(async move {
        let body = vec![b'x'; BODY];
        let properties = BasicProperties::default().with_delivery_mode(if is_persistent { 2 } else { 1 });
        let mut unconfirmed = VecDeque::new();
        for _ in 0..count {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let confirm =
                from.basic_publish("".into(), queue.clone(), options, &body, properties.clone()).await.unwrap();
            unconfirmed.push_back(confirm);
            if unconfirmed.len() >= 1_024 {
                assert!(unconfirmed.pop_front().unwrap().await.unwrap().is_ack());
            }
        }
        for confirm in unconfirmed {
            assert!(confirm.await.unwrap().is_ack());
        }
        from
    });
    for number in 1..=count {
        let delivery = poll_fn(|cx| Pin::new(&mut consumer).poll_next(cx)).await.unwrap().unwrap();
        assert!(delivery.data.len() >= BODY);
        if number % 100 == 0 {
            to.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true }).await.unwrap();
        }
    }
    let from = sending_task.await.unwrap();
    let time = began.elapsed();
    from.close(200, "OK".into()).await.unwrap();
    sending.close(200, "OK".into()).await.unwrap();
    receiving.close(200, "OK".into()).await.unwrap();
    time
}
