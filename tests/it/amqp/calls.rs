//! Calls, one and many.

use super::peer::Peer;
use super::{connect, echoes, hears, options, soon, task_queue_of};
use crate::broker::Broker;
use procession::communicator::{Answer, Answered, Communicator, CommunicatorError, IncomingRpc, Rpc};
use procession::limits;
use procession::message::{self, Broadcast, Node};
use std::sync::Arc;

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn calls_to_nobody_are_told_apart_from_those_that_arrive() {
    let broker = Broker::shared();
    let options = options();
    let (sender, worker) = (Arc::new(connect(&broker, &options).await), connect(&broker, &options).await);
    echoes(&worker, "somebody").await;
    // Beside one another, so that the broker acknowledges many at once.
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..2_000_i64 {
        let sender = Arc::clone(&sender);
        calls.spawn(async move {
            let somebody = number % 3 != 0;
            let recipient = if somebody { "somebody" } else { "nobody" };
            let sent = sender.rpc_send(Rpc::new(recipient, Node::from(number))).await;
            match sent {
                Ok(reply) => somebody && reply.last().await.unwrap() == Node::from(number),
                Err(CommunicatorError::Unroutable { recipient }) => !somebody && recipient == "nobody",
                Err(error) => panic!("{error}"),
            }
        });
    }
    let right = soon("all calls", calls.join_all()).await;
    assert!(right.into_iter().all(|right| right));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_broadcast_arrives_before_the_reply_that_follows_from_it() {
    let broker = Broker::shared();
    let options = options();
    let (peer, worker) = (Peer::new(&broker).await, Arc::new(connect(&broker, &options).await));
    let tells = Arc::downgrade(&worker);
    let answer = move |call: IncomingRpc| {
        let tells = tells.upgrade();
        async move {
            let told = Broadcast::new(call.body.clone()).subject("done");
            tells.unwrap().broadcast_send(told).await.unwrap();
            Ok(Answer::Value(call.body))
        }
    };
    worker.add_rpc_subscriber(Arc::new(answer), Some("called".to_owned())).await.unwrap();
    let messages = task_queue_of(&options).replace(".queue", ".messages");
    peer.bind(&messages, peer.queue.as_str()).await;
    peer.bind(&messages, "[broadcast]").await;
    for number in 0..200 {
        peer.send(&messages, "[rpc].called", number.to_string().as_bytes()).await;
    }
    let mut told = 0;
    for _ in 0..400 {
        let delivery = peer.next(&peer.queue).await;
        let node = message::decode(&delivery.data).unwrap();
        if delivery.routing_key.as_str() == "[broadcast]" {
            told += 1;
        } else {
            let number = node.get("result").cloned().unwrap();
            assert!(matches!(number, Node::Integer(number) if number < told), "{number} of {told}");
        }
    }
    assert_eq!(told, 200);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn an_idle_worker_answers_ten_thousand_calls() {
    let broker = Broker::shared();
    let options = options();
    let (sender, worker) = (Arc::new(connect(&broker, &options).await), connect(&broker, &options).await);
    echoes(&worker, "idle").await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..50_i64 {
        let sender = Arc::clone(&sender);
        callers.spawn(async move {
            for number in 0..200 {
                let body = Node::from(caller * 200 + number);
                let reply = sender.rpc_send(Rpc::new("idle", body.clone())).await.unwrap();
                assert_eq!(reply.last().await.unwrap(), body);
            }
        });
    }
    soon("all replies", callers.join_all()).await;
}

/// Calls and broadcasts share a channel; an acknowledgement of one that was acknowledged is an error of that channel.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn many_calls_and_broadcasts_at_once_cost_no_connection() {
    let (broker, options) = (Broker::shared(), options());
    let (worker, sender) = (connect(&broker, &options).await, connect(&broker, &options).await);
    echoes(&worker, "echo").await;
    let mut heard = hears(&worker).await;
    for round in 0..20 {
        let calls = (0..100).map(|_| sender.rpc_send(Rpc::new("echo", Node::from(round))));
        let told = (0..100).map(|_| sender.broadcast_send(Broadcast::new(Node::Null).subject("told")));
        let (calls, told): (Vec<_>, Vec<_>) = calls.zip(told).unzip();
        let all = async {
            let mut replies = Vec::new();
            for (call, told) in calls.into_iter().zip(told) {
                let (reply, told) = tokio::join!(call, told);
                told.unwrap();
                replies.push(reply.unwrap());
            }
            for reply in replies {
                assert_eq!(reply.last().await.unwrap(), Node::from(round));
            }
        };
        soon("the calls", all).await;
    }
    for _ in 0..2_000 {
        soon("a broadcast", heard.recv()).await.unwrap();
    }
    assert_eq!(worker.statistics().reconnects, 0);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn calls_that_are_being_answered_are_bounded() {
    let (broker, options) = (Broker::shared(), options());
    let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let never = |_: IncomingRpc| std::future::pending::<Answered>();
    worker.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    echoes(&worker, "echo").await;
    let sender = Arc::new(sender);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let sender = Arc::clone(&sender);
        callers.spawn(async move {
            for _ in 0..limits::CALLS_AT_ONCE / 100 {
                // Whether anybody waits for the answer makes no difference.
                drop(sender.rpc_send(Rpc::new("silent", Node::Null)).await.unwrap());
            }
        });
    }
    soon("the calls", callers.join_all()).await;
    // They come in order: all of them have come when this one has.
    let one_more = sender.rpc_send(Rpc::new("echo", Node::Null)).await.unwrap();
    let refused = soon("the refusal", one_more.last()).await;
    assert!(matches!(&refused, Err(CommunicatorError::Remote(text)) if text.contains("too many")), "{refused:?}");
    worker.remove_rpc_subscriber("silent").await.unwrap();
    assert!(worker.is_connected());
}
