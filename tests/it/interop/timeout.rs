//! A broker that takes back what is not acknowledged in time (P1).

use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

use super::peers::{Controller, Names, Worker};
use super::raw::Raw;
use super::{heard, launch};
use crate::broker::{Broker, Queue};

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_consumer_timeout_of_5_s_does_not_hit_tasks_of_12_s() {
    let broker = Broker::start(&["consumer_timeout = 5000", "{channel_tick_interval, 1000}"]);
    let names = Names::new(&broker, "timeout");
    let folder = tempfile::tempdir().expect("room for a folder");
    let worker = Worker::rust(&names, &folder.path().join("store.db"));
    let python = Controller::shared();
    let mut created = python.listen(&names, json!({ "subject": "state_changed.None.created" })).await;
    let chain = launch("WaitChain", json!({ "n": 1, "delay": 12.0 }));
    let busy = launch("Busy", json!({ "seconds": 12 }));
    let (chain, busy, unprotected) = tokio::join!(
        python.call(&names, "thread", "launch_process", chain),
        python.call(&names, "thread", "launch_process", busy),
        is_cancelled(&broker)
    );
    assert_eq!((&chain["result"], &chain["pendings"]), (&json!({ "rounds": 1 }), &json!(1)), "{chain}");
    assert_eq!((&busy["result"], &busy["pendings"]), (&json!({}), &json!(1)), "{busy}");
    assert!(unprotected, "a consumer that holds its message for so long is cut off");
    for _ in 0..2 {
        heard(&mut created).await;
    }
    assert!(created.try_recv().is_err(), "each began once");
    let queue = broker.queues().await.remove(&names.task_queue);
    assert_eq!(queue, Some(Queue { ready: 0, unacknowledged: 0, consumers: 1 }), "the worker was not cut off");
    drop(worker);
}

/// Whether the broker closes the channel of a client that takes a message and does not acknowledge it.
async fn is_cancelled(broker: &Broker) -> bool {
    let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await.expect("it is there");
    let channel = connection.create_channel().await.expect("it gives channels");
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("held".into(), options, FieldTable::default()).await.expect("it can be declared");
    let consume =
        channel.basic_consume("held".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let consumer = consume.await.expect("it can be consumed");
    let cut_off = Arc::new(Notify::new());
    let told = Arc::clone(&cut_off);
    consumer.set_delegate(move |delivery: lapin::message::DeliveryResult| {
        if !matches!(delivery, Ok(Some(_))) {
            told.notify_one();
        }
        std::future::ready(())
    });
    Raw::put(&channel, "held").await;
    tokio::time::timeout(Duration::from_secs(20), cut_off.notified()).await.is_ok()
}
