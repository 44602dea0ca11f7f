//! What the broker refuses, and replies to those who are away.

use super::peer::Peer;
use super::{connect, echoes, options, soon, task_queue_of};
use crate::broker::Broker;
use crate::support::eventually;
use lapin::BasicProperties;
use procession::communicator::{Answer, Communicator, CommunicatorError, Incoming, IncomingRpc, Rpc, Task};
use procession::limits;
use procession::message::{self, Node, ReplyBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// More than the broker takes here.
fn large() -> Node {
    Node::from("x".repeat(200_000))
}

fn strict() -> Broker {
    Broker::start(&["max_message_size = 65536"])
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn one_message_that_the_broker_refuses_is_found_out_and_the_others_arrive() {
    let broker = strict();
    let options = options();
    let (sender, worker) = (Arc::new(connect(&broker, &options).await), connect(&broker, &options).await);
    let done = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&done);
    let count = move |task: Incoming| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Answer::Value(task.body)) }
    };
    worker.add_task_subscriber(Arc::new(count), None).await.unwrap();
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..100 {
        let sender = Arc::clone(&sender);
        let body = if number == 50 { large() } else { Node::from(number) };
        sending.spawn(async move {
            let reply = sender.task_send(Task::new(body)).await;
            (
                number,
                match reply {
                    Ok(reply) => reply.unwrap().last().await,
                    Err(error) => Err(error),
                },
            )
        });
    }
    while let Some(sent) = soon("an answer", sending.join_next()).await {
        match sent.unwrap() {
            (50, answer) => assert!(
                matches!(&answer, Err(error @ CommunicatorError::Refused { .. }) if !error.is_retryable()),
                "{answer:?}"
            ),
            // Of those that were on their way with it, replies go to a queue of the connection that was given up.
            (number, answer) => assert!(
                answer.as_ref().is_ok_and(|node| *node == Node::from(number))
                    || matches!(answer, Err(CommunicatorError::Disconnected(_))),
                "{answer:?}"
            ),
        }
    }
    eventually(|| async { done.load(Ordering::Relaxed) == 99 }).await;
    let again = sender.task_send(Task::new(Node::from("again"))).await.unwrap().unwrap();
    assert_eq!(soon("an answer", again.last()).await.unwrap(), Node::from("again"));
    // It is looked for among those that may be it, not by one connection for each.
    assert!(sender.statistics().reconnects < 10, "{:?}", sender.statistics());
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn who_waits_for_a_reply_that_the_broker_refuses_is_told_so() {
    let broker = strict();
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let shout = |_: IncomingRpc| async move { Ok(Answer::Value(large())) };
    worker.add_rpc_subscriber(Arc::new(shout), Some("shouts".to_owned())).await.unwrap();
    echoes(&worker, "echo").await;
    let call = sender.rpc_send(Rpc::new("shouts", Node::Null)).await.unwrap();
    let answer = soon("an answer", call.last()).await;
    assert!(
        matches!(&answer, Err(CommunicatorError::Remote(text)) if text.starts_with("the broker refused the reply")),
        "{answer:?}"
    );
    assert_eq!(worker.statistics().refused, 1);
    eventually(|| async { worker.is_connected() }).await;
    let echo = || async {
        let call = sender.rpc_send(Rpc::new("echo", Node::from("there"))).await?;
        call.last().await
    };
    eventually(|| async { echo().await.is_ok() }).await;
    assert!(worker.statistics().reconnects <= 3, "{:?}", worker.statistics());
}

/// The reply that another follows, and that: both come back, and both are sent again, in that order.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn replies_to_a_sender_that_is_away_keep_their_order() {
    let broker = Broker::shared();
    let options = options();
    let worker = connect(&broker, &options).await;
    let begun = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&begun);
    let later = move |task: Incoming| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Answer::Later(Box::pin(async move { Ok(Answer::Value(task.body)) }))) }
    };
    worker.add_task_subscriber(Arc::new(later), None).await.unwrap();
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    let tasks = queue.replace(".queue", ".tasks");
    for number in 0..10 {
        let properties = BasicProperties::default().with_reply_to(peer.queue.clone());
        let properties = properties.with_correlation_id(number.to_string().into());
        peer.send_with(&tasks, &queue, format!("[{number}, false]").as_bytes(), properties).await;
    }
    eventually(|| async { begun.load(Ordering::Relaxed) == 10 }).await;
    // They have come back at least once.
    tokio::time::sleep(limits::CONFIRMED * 5).await;
    peer.bind(&tasks, peer.queue.as_str()).await;
    let mut follows = [false; 10];
    for _ in 0..20 {
        let delivery = peer.next(&peer.queue).await;
        let number: usize = delivery.properties.correlation_id().as_ref().unwrap().as_str().parse().unwrap();
        match ReplyBody::try_from(message::decode(&delivery.data).unwrap()).unwrap() {
            ReplyBody::Pending => assert!(!std::mem::replace(&mut follows[number], true), "it comes once"),
            reply => {
                assert_eq!(reply, ReplyBody::Value(Node::Integer(number.try_into().unwrap())));
                assert!(follows[number], "the reply to {number} came before it was said that it follows");
            }
        }
    }
}
