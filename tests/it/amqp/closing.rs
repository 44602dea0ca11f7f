//! The end of a communicator whose subscribers are at work.

use super::{connect, options, soon, task_queue_of};
use crate::broker::Broker;
use crate::support::{Gate, eventually};
use procession::communicator::{Answer, Answered, Communicator, Incoming, IncomingRpc, Refusal, Rpc, Task};
use procession::limits;
use procession::message::Node;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waits at a gate, then answers.
fn held(gate: &Gate) -> impl Fn(Node) -> procession::process::BoxFuture<'static, Answered> + use<> {
    let gate = gate.clone();
    move |body| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass().await;
            Ok(Answer::Value(body))
        })
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_ends_while_the_communicator_closes_is_acknowledged_and_answered() {
    let broker = Broker::shared();
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, Arc::new(connect(&broker, &options).await));
    let gate = Gate::new();
    let does = held(&gate);
    worker.add_task_subscriber(Arc::new(move |task: Incoming| does(task.body)), None).await.unwrap();
    let does = held(&gate);
    let answers = Arc::new(move |call: IncomingRpc| does(call.body));
    worker.add_rpc_subscriber(answers, Some("held".to_owned())).await.unwrap();
    let task = sender.task_send(Task::new(Node::from("a task"))).await.unwrap().unwrap();
    let call = sender.rpc_send(Rpc::new("held", Node::from("a call"))).await.unwrap();
    gate.reached().await;
    gate.reached().await;
    let closing = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.close().await }
    });
    eventually(|| async { worker.is_closed() }).await;
    // What comes now is for others, at once.
    let late = sender.rpc_send(Rpc::new("held", Node::Null)).await.unwrap();
    let refused = soon("the refusal", late.last()).await.unwrap_err();
    assert!(refused.to_string().contains("nobody is reached"), "{refused}");
    let next = sender.task_send(Task::new(Node::from("the next"))).await.unwrap().unwrap();
    let other = connect(&broker, &options).await;
    let echo = |task: Incoming| async move { Ok(Answer::Value(Node::Sequence(vec![task.body]))) };
    other.add_task_subscriber(Arc::new(echo), None).await.unwrap();
    assert_eq!(soon("a reply", next.last()).await.unwrap(), Node::Sequence(vec![Node::from("the next")]));
    assert!(!closing.is_finished());
    gate.open(2);
    soon("the close", closing).await.unwrap().unwrap();
    assert_eq!(soon("a reply", task.last()).await.unwrap(), Node::from("a task"));
    assert_eq!(soon("a reply", call.last()).await.unwrap(), Node::from("a call"));
    let queue = task_queue_of(&options);
    eventually(|| async { broker.queues().await[&queue].unacknowledged == 0 }).await;
    assert_eq!((broker.queues().await[&queue].ready, other.statistics().redelivered), (0, 0));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_close_waits_no_longer_than_it_may_and_not_for_what_was_rejected() {
    let broker = Broker::shared();
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let gate = Gate::new();
    let at = gate.clone();
    let rejects = move |_: Incoming| {
        let gate = at.clone();
        async move {
            drop(tokio::time::timeout(Duration::ZERO, gate.pass()).await);
            Err(Refusal::Rejected("not for me".to_owned()))
        }
    };
    let identifier = worker.add_task_subscriber(Arc::new(rejects), None).await.unwrap();
    let task = sender.task_send(Task::new(Node::from("rejected"))).await.unwrap().unwrap();
    gate.reached().await;
    worker.remove_task_subscriber(&identifier).await.unwrap();
    let begin = Instant::now();
    soon("the close", worker.close()).await.unwrap();
    assert!(begin.elapsed() < limits::CLOSE, "{:?}", begin.elapsed());

    let worker = connect(&broker, &options).await;
    let does = held(&gate);
    worker.add_task_subscriber(Arc::new(move |task: Incoming| does(task.body)), None).await.unwrap();
    gate.reached().await;
    let begin = Instant::now();
    soon("the close", worker.close()).await.unwrap();
    assert!(begin.elapsed() >= limits::CLOSE, "{:?}", begin.elapsed());
    let queue = task_queue_of(&options);
    eventually(|| async { broker.queues().await[&queue].ready == 1 }).await;
    drop(task);
    // One that is dropped waits for nothing.
    let worker = connect(&broker, &options).await;
    let does = held(&gate);
    worker.add_task_subscriber(Arc::new(move |task: Incoming| does(task.body)), None).await.unwrap();
    gate.reached().await;
    let begin = Instant::now();
    drop(worker);
    eventually(|| async { broker.queues().await[&queue].ready == 1 }).await;
    assert!(begin.elapsed() < limits::CLOSE, "{:?}", begin.elapsed());
}
