//! Broadcasts: one tells as fast as it can, and another OS process hears all of it, in order.
//!
//! Each message says when it was sent, by the clock that both have. The rate is from the first that was sent to the last
//! that was heard; the latencies are those of a flood, which are the length of its queues.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use procession::communicator::BroadcastFilter;
use procession::message::{Broadcast, Node};
use serde::{Deserialize, Serialize};

use super::worker::{Worker, ready};
use super::{ours, plumpy, raw};
use crate::measure::{Bench, Sample, per_second, tokio};

/// Messages of the limit that may be unconfirmed.
const UNCONFIRMED: usize = 500;

fn count(bench: &Bench) -> u64 {
    bench.count(50_000, 2_000) as u64
}

/// What is told.
#[derive(Serialize, Deserialize)]
struct Told {
    number: u64,
    /// Nanoseconds since the epoch.
    at: u64,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after the epoch");
    u64::try_from(since.as_nanos()).expect("before the year 2500")
}

impl Told {
    fn now(number: u64) -> Self {
        Self { number, at: now() }
    }
}

/// Counts what is heard, and says how it went when that is all.
struct Heard {
    count: u64,
    began: u64,
    latencies: Vec<Duration>,
}

impl Heard {
    fn new(count: u64) -> Self {
        Self { count, began: 0, latencies: Vec::new() }
    }

    fn hear(&mut self, Told { number, at }: &Told) {
        assert_eq!(*number, self.latencies.len() as u64, "in order, and none is lost");
        if *number == 0 {
            self.began = *at;
        }
        self.latencies.push(Duration::from_nanos(now().saturating_sub(*at)));
        if number + 1 == self.count {
            let rate = per_second(self.count, Duration::from_nanos(now() - self.began));
            let Sample { p50, p99, .. } = Sample::new(rate).with_latencies(std::mem::take(&mut self.latencies));
            let figures = serde_json::json!({ "value": rate, "p50": p50, "p99": p99 });
            println!("{figures}");
        }
    }
}

pub(super) fn ours(bench: &Bench, url: &str) -> Sample {
    let mut worker = Worker::start(&["ours-hear", url, &count(bench).to_string()]);
    tokio().block_on(async {
        let communicator = ours::connect(url).await;
        for number in 0..count(bench) {
            let Told { number, at } = Told::now(number);
            let mut broadcast = Broadcast::default();
            broadcast.subject = Some("state_changed.running.finished".to_owned());
            let integer = |number: u64| Node::Integer(number.into());
            broadcast.body = Node::mapping([("number", integer(number)), ("at", integer(at))]);
            communicator.broadcast_send(broadcast).await.expect("sent");
        }
        let sample = plumpy::figures(&worker.line());
        communicator.close().await.expect("closed");
        sample
    })
}

pub(super) async fn ours_hear(url: &str, count: u64) {
    let heard = Arc::new(Mutex::new(Heard::new(count)));
    let hear = move |broadcast: Arc<Broadcast>| {
        let integer = |key| match broadcast.body.get(key) {
            Some(Node::Integer(integer)) => u64::try_from(*integer).expect("a number"),
            other => panic!("{key}: {other:?}"),
        };
        let told = Told { number: integer("number"), at: integer("at") };
        heard.lock().unwrap_or_else(PoisonError::into_inner).hear(&told);
        std::future::ready(())
    };
    let communicator = ours::connect(url).await;
    let filter = BroadcastFilter::all().subject("state_changed.*");
    communicator.add_broadcast_subscriber(Arc::new(hear), filter, None).await.expect("subscribed");
    ready("");
    std::future::pending::<()>().await;
}

const EXCHANGE: &str = "amq.topic";
const KEY: &str = "raw.broadcast";

pub(super) fn raw(bench: &Bench, url: &str) -> Sample {
    let mut worker = Worker::start(&["raw-hear", url, &count(bench).to_string()]);
    tokio().block_on(async {
        let connection = raw::connect(url).await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let mut sending = VecDeque::new();
        for number in 0..count(bench) {
            let mut sent = Box::pin(tell(channel.clone(), number));
            // Handed over now; confirmed later.
            poll_fn(|context| {
                assert!(sent.as_mut().poll(context).is_pending(), "the broker confirms");
                Poll::Ready(())
            })
            .await;
            sending.push_back(sent);
            if sending.len() == UNCONFIRMED {
                sending.pop_front().expect("not empty").await;
            }
        }
        for sent in sending {
            sent.await;
        }
        plumpy::figures(&worker.line())
    })
}

async fn tell(channel: Channel, number: u64) {
    let body = serde_json::to_vec(&Told::now(number)).expect("JSON");
    let properties = BasicProperties::default().with_delivery_mode(1);
    let sent = channel.basic_publish(EXCHANGE.into(), KEY.into(), BasicPublishOptions::default(), &body, properties);
    assert!(sent.await.expect("sent").await.expect("confirmed").is_ack());
}

pub(super) async fn raw_hear(url: &str, count: u64) {
    let connection = raw::connect(url).await;
    let channel = connection.create_channel().await.expect("a channel");
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.expect("a queue").name().clone();
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.clone(), EXCHANGE.into(), KEY.into(), options, FieldTable::default())
        .await
        .expect("bound");
    channel.basic_qos(raw::PREFETCH, BasicQosOptions::default()).await.expect("a prefetch");
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(queue, "".into(), options, FieldTable::default()).await.expect("a consumer");
    ready("");
    let mut heard = Heard::new(count);
    loop {
        let batch = raw::next(&mut consumer).await;
        for delivery in &batch {
            heard.hear(&serde_json::from_slice(&delivery.data).expect("JSON"));
        }
        let last = batch.last().expect("not empty");
        last.ack(BasicAckOptions { multiple: true }).await.expect("acknowledged");
    }
}

pub(super) fn plumpy(interpreter: &Path, bench: &Bench, url: &str) -> Sample {
    plumpy::broadcasts(interpreter, url, bench.count(2_000, 200))
}
