//! Broadcasts, and who hears them.

use super::peer::Peer;
use super::{connect, hears, options, soon, task_queue_of};
use crate::broker::Broker;
use lapin::BasicProperties;
use procession::communicator::{BroadcastFilter, Communicator};
use procession::message::Broadcast;
use std::sync::Arc;

/// One that was not confirmed is sent again over the next connection, also if it had arrived.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_broadcast_that_comes_twice_is_heard_once() {
    let broker = Broker::shared();
    let options = options();
    let listener = connect(&broker, &options).await;
    let mut heard = hears(&listener).await;
    let peer = Peer::new(&broker).await;
    let messages = task_queue_of(&options).replace(".queue", ".messages");
    for (subject, id) in [("one", "1"), ("one", "1"), ("two", "2"), ("one", "1"), ("three", ""), ("three", "")] {
        let properties = BasicProperties::default();
        let properties = if id.is_empty() { properties } else { properties.with_message_id(id.into()) };
        peer.send_with(&messages, "[broadcast]", format!("subject: {subject}\n").as_bytes(), properties).await;
    }
    for subject in ["one", "two", "three", "three"] {
        assert_eq!(soon("a broadcast", heard.recv()).await.unwrap().as_deref(), Some(subject));
    }
}

/// Whoever waits for the end of a process listens, and stops listening: the last one as another begins.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn subscribers_that_come_and_go_cost_no_connection() {
    let (broker, options) = (Broker::shared(), options());
    let worker = connect(&broker, &options).await;
    let come_and_go = async || {
        for _ in 0..100 {
            let deaf = |_: Arc<Broadcast>| async {};
            let filter = BroadcastFilter::all();
            let identifier = worker.add_broadcast_subscriber(Arc::new(deaf), filter, None).await.unwrap();
            worker.remove_broadcast_subscriber(&identifier).await.unwrap();
        }
    };
    soon("all of them", async { tokio::join!(come_and_go(), come_and_go(), come_and_go()) }).await;
    assert_eq!(worker.statistics().reconnects, 0);
}
