//! Tasks: each is done once and answered.

use super::peer::Peer;
use super::{connect, options, soon, task_queue_of};
use crate::broker::Broker;
use crate::support::eventually;
use lapin::BasicProperties;
use lapin::types::{FieldTable, ShortString};
use procession::communicator::{Answer, Communicator, Incoming};
use procession::message::{Node, ReplyBody};
use std::sync::Arc;

/// The sender's queue for replies is bound again, as kiwipy does after its own connection was lost.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_reply_waits_for_a_sender_that_is_away_for_a_moment() {
    let broker = Broker::shared();
    let options = options();
    let worker = Arc::new(connect(&broker, &options).await);
    let (begun, mut begins) = tokio::sync::mpsc::channel(2);
    let go_on = Arc::new(tokio::sync::Semaphore::new(0));
    let (owing, released) = (Arc::clone(&worker), Arc::clone(&go_on));
    let subscriber = move |task: Incoming| {
        let (owing, released, begun) = (Arc::clone(&owing), Arc::clone(&released), begun.clone());
        async move {
            let work = async move {
                begun.send(()).await.unwrap();
                released.acquire().await.unwrap().forget();
            };
            if task.body == Node::from("later") {
                return Ok(Answer::Later(Box::pin(async move {
                    work.await;
                    Ok(Answer::from("late"))
                })));
            }
            let address = task.reply_to.unwrap();
            Ok(Answer::Owed(Box::pin(async move {
                work.await;
                owing.reply(&address, Ok(Node::from("owed"))).await.unwrap();
            })))
        }
    };
    let identifier = worker.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    let tasks = queue.replace(".queue", ".tasks");
    for (body, answer) in [("later", "late"), ("owe", "owed")] {
        peer.bind(&tasks, peer.queue.as_str()).await;
        peer.send(&tasks, &queue, format!("[{body}, false]").as_bytes()).await;
        assert_eq!(peer.reply().await, ReplyBody::Pending);
        soon("the work", begins.recv()).await.unwrap();
        let (exchange, key) = (ShortString::from(tasks.as_str()), peer.queue.clone());
        peer.channel.queue_unbind(peer.queue.clone(), exchange, key, FieldTable::default()).await.unwrap();
        go_on.add_permits(1);
        // It is sent at least twice: nobody can have it before.
        tokio::time::sleep(procession::limits::SENDER_AGAIN * 3 / 2).await;
        peer.bind(&tasks, peer.queue.as_str()).await;
        assert_eq!(peer.reply().await, ReplyBody::Value(Node::from(answer)));
    }
    worker.remove_task_subscriber(&identifier).await.unwrap();
}

/// A task that was not confirmed is sent again, with the queue of the next connection for its reply.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_that_two_sent_is_answered_to_both() {
    let broker = Broker::shared();
    let options = options();
    let worker = Arc::new(connect(&broker, &options).await);
    let go_on = Arc::new(tokio::sync::Semaphore::new(0));
    let (owing, released) = (Arc::clone(&worker), Arc::clone(&go_on));
    let subscriber = move |task: Incoming| {
        let (owing, released) = (Arc::clone(&owing), Arc::clone(&released));
        async move {
            // What takes time before the task is taken over: a store.
            released.acquire().await.unwrap().forget();
            let address = task.reply_to.unwrap();
            Ok(Answer::Owed(Box::pin(async move { owing.reply(&address, Ok(task.body)).await.unwrap() })))
        }
    };
    let identifier = worker.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
    let peers = [Peer::new(&broker).await, Peer::new(&broker).await];
    let queue = task_queue_of(&options);
    let tasks = queue.replace(".queue", ".tasks");
    for peer in &peers {
        peer.bind(&tasks, peer.queue.as_str()).await;
        let properties = BasicProperties::default().with_reply_to(peer.queue.clone());
        let properties = properties.with_correlation_id("mine".into()).with_message_id("one task".into());
        peer.send_with(&tasks, &queue, b"[7, false]", properties).await;
    }
    eventually(|| async { worker.statistics().joined == 1 }).await;
    go_on.add_permits(2);
    for peer in &peers {
        let mut reply = peer.reply().await;
        while reply == ReplyBody::Pending {
            reply = peer.reply().await;
        }
        assert_eq!(reply, ReplyBody::Value(Node::from(7)));
    }
    worker.remove_task_subscriber(&identifier).await.unwrap();
}
