//! Broadcasts, and who hears them.

use super::peer::Peer;
use super::{connect, hears, options, soon, task_queue_of};
use crate::broker::Broker;
use crate::support::Gate;
use lapin::BasicProperties;
use procession::communicator::{BroadcastFilter, Communicator};
use procession::limits;
use procession::message::{Broadcast, Node};
use std::sync::Arc;
use tokio::sync::mpsc;

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

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_subscriber_that_is_far_behind_misses_broadcasts_which_are_counted_and_goes_on() {
    let (broker, options) = (Broker::shared(), options());
    let (listener, sender) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let (told, mut heard) = mpsc::channel(2 * limits::BROADCASTS_WAITING);
    let gate = Gate::new();
    let at = gate.clone();
    let slow = move |broadcast: Arc<Broadcast>| {
        let (told, at) = (told.clone(), at.clone());
        async move {
            at.pass().await;
            told.send(broadcast.body.clone()).await.unwrap();
        }
    };
    listener.add_broadcast_subscriber(Arc::new(slow), BroadcastFilter::all(), None).await.unwrap();
    // Another one hears everything meanwhile.
    let mut others = hears(&listener).await;
    let tell = async |number: usize| {
        let body = Node::Integer(i128::try_from(number).unwrap());
        sender.broadcast_send(Broadcast::new(body).subject("told")).await.unwrap();
    };
    tell(0).await;
    gate.reached().await;
    // One is at the subscriber, the others wait; 50 are too many.
    let all = limits::BROADCASTS_WAITING + 50;
    for number in 1..=all {
        tell(number).await;
    }
    for _ in 0..=all {
        soon("a broadcast", others.recv()).await.unwrap();
    }
    assert_eq!(listener.statistics().dropped_broadcasts, 50);
    gate.open(limits::BROADCASTS_WAITING + 2);
    for number in 0..=limits::BROADCASTS_WAITING {
        let body = soon("a broadcast", heard.recv()).await.unwrap();
        assert_eq!(body, Node::Integer(i128::try_from(number).unwrap()));
    }
    tell(all + 1).await;
    let body = soon("a broadcast", heard.recv()).await.unwrap();
    assert_eq!(body, Node::Integer(i128::try_from(all + 1).unwrap()), "it goes on");
}
