//! A broker that lacks memory: it reads nothing from those who have sent it something, for as long as that lasts.

use super::{connect, echoes, hears, options, soon};
use crate::broker::Broker;
use crate::support::eventually;
use procession::communicator::{
    AmqpCommunicator, AmqpConnection, Answer, Communicator, CommunicatorError, Deadlines, Incoming, IncomingRpc, Rpc,
    Task,
};
use procession::message::{Broadcast, Node};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long nothing may take that waits for a broker that does not answer: less than the alarm lasts.
const BOUND: Duration = Duration::from_secs(20);

/// Takes its memory from a broker, and waits until it does not hear a communicator any more.
pub(super) async fn deafen(broker: &Broker, communicator: &AmqpCommunicator) {
    broker.ctl(&["set_vm_memory_high_watermark", "absolute", "1"]).await;
    let brief = Deadlines { send: Duration::from_millis(300), ..Deadlines::TASK };
    let late = communicator.task_send(Task::new(Node::from("late")).no_reply().deadlines(brief)).await;
    assert!(matches!(late, Err(CommunicatorError::Timeout { .. })), "{late:?}");
    eventually(|| async { communicator.connection() == AmqpConnection::Blocked }).await;
}

pub(super) async fn relieve(broker: &Broker, communicator: &AmqpCommunicator) {
    broker.ctl(&["set_vm_memory_high_watermark", "0.9"]).await;
    eventually(|| async { communicator.connection() == AmqpConnection::Connected }).await;
}

pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// What the subscriber of an identifier answers, as soon as there is one.
async fn answer_of(caller: &AmqpCommunicator, identifier: &str) -> Node {
    let call = || async { caller.rpc_send(Rpc::new(identifier, Node::from("hello"))).await };
    eventually(|| async { call().await.is_ok() }).await;
    soon("a reply", call().await.unwrap().last()).await.unwrap()
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn who_is_subscribed_changes_during_a_memory_alarm_and_holds_after_it() {
    let broker = Broker::start(&[]);
    let options = options();
    let (worker, other) = (connect(&broker, &options).await, connect(&broker, &options).await);
    for identifier in ["kept", "removed", "replaced"] {
        echoes(&worker, identifier).await;
    }
    deafen(&broker, &worker).await;
    within("an addition", echoes(&worker, "added")).await;
    within("an addition", echoes(&worker, "added and removed")).await;
    within("a removal", worker.remove_rpc_subscriber("added and removed")).await.unwrap();
    for identifier in ["removed", "replaced"] {
        within("a removal", worker.remove_rpc_subscriber(identifier)).await.unwrap();
        let again = worker.remove_rpc_subscriber(identifier).await;
        assert!(matches!(again, Err(CommunicatorError::Unknown(_))), "{again:?}");
    }
    let replaced = |_: IncomingRpc| async { Ok(Answer::Value(Node::from("another"))) };
    within("an addition", worker.add_rpc_subscriber(Arc::new(replaced), Some("replaced".to_owned()))).await.unwrap();
    let task = |task: Incoming| async move { Ok(Answer::Value(task.body)) };
    within("an addition", worker.add_task_subscriber(Arc::new(task), None)).await.unwrap();
    let mut heard = within("an addition", hears(&worker)).await;
    relieve(&broker, &worker).await;
    for identifier in ["kept", "added"] {
        assert_eq!(answer_of(&other, identifier).await, Node::from("hello"));
    }
    assert_eq!(answer_of(&other, "replaced").await, Node::from("another"));
    for identifier in ["removed", "added and removed"] {
        let refused = other.rpc_send(Rpc::new(identifier, Node::Null)).await;
        assert!(matches!(refused, Err(CommunicatorError::Unroutable { .. })), "{identifier}: {refused:?}");
    }
    let reply = other.task_send(Task::new(Node::from("to do"))).await.unwrap().unwrap();
    assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from("to do"));
    other.broadcast_send(Broadcast::new(Node::Null).subject("told")).await.unwrap();
    assert_eq!(soon("a broadcast", heard.recv()).await.unwrap(), Some("told".to_owned()));
    assert_eq!(worker.statistics().reconnects, 0);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_communicator_closes_during_a_memory_alarm() {
    let broker = Broker::start(&[]);
    let communicator = Arc::new(connect(&broker, &options()).await);
    deafen(&broker, &communicator).await;
    // Something that it waits for.
    within("an addition", echoes(&communicator, "added")).await;
    within("the close", communicator.close()).await.unwrap();
    let refused = communicator.broadcast_send(Broadcast::new(Node::Null)).await;
    assert!(matches!(refused, Err(CommunicatorError::Closed)), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn nothing_is_left_of_a_communicator_that_is_dropped_during_a_memory_alarm() {
    let broker = Broker::start(&[]);
    let communicator = connect(&broker, &options()).await;
    deafen(&broker, &communicator).await;
    let subscriber = Arc::new(|call: IncomingRpc| async move { Ok(Answer::Value(call.body)) });
    let left = Arc::downgrade(&subscriber);
    within("an addition", communicator.add_rpc_subscriber(subscriber, None)).await.unwrap();
    drop(communicator);
    // Its thread had it.
    eventually(|| async { left.upgrade().is_none() }).await;
}
