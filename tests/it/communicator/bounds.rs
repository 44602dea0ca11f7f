//! The limits of the communicator in this process.

use procession::communicator::{
    Answer, Answered, BroadcastFilter, Communicator, CommunicatorError, Incoming, IncomingRpc, LocalCommunicator, Rpc,
    Task,
};
use procession::limits;
use procession::message::{Broadcast, Node};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use crate::support::{Gate, eventually};

async fn called(call: IncomingRpc) -> Answered {
    Ok(Answer::Value(call.body))
}

#[tokio::test]
async fn tasks_that_wait_are_bounded() {
    let communicator = LocalCommunicator::new();
    for _ in 0..limits::TASKS_WAITING {
        communicator.task_send(Task::new(Node::Null).queue("many").no_reply()).await.unwrap();
    }
    let refused = communicator.task_send(Task::new(Node::Null).no_reply()).await.unwrap_err();
    assert!(matches!(refused, CommunicatorError::Limit(_)) && refused.is_retryable(), "{refused:?}");
    let another = communicator.another().task_send(Task::new(Node::Null).queue("own").no_reply()).await;
    assert!(another.is_err(), "the limit is that of all queues: {another:?}");
    let queue = communicator.task_queue("own").await.unwrap();
    assert!(queue.next_task(Duration::ZERO).await.unwrap().is_none());
    // One that was taken makes room for another.
    let queue = communicator.task_queue("many").await.unwrap();
    let taken = queue.next_task(Duration::ZERO).await.unwrap();
    communicator.task_send(Task::new(Node::Null).no_reply()).await.unwrap();
    drop(taken);
}

#[tokio::test]
async fn tasks_that_one_communicator_has_at_once_are_bounded() {
    let greedy = LocalCommunicator::new();
    let never = |_: Incoming| std::future::pending::<Answered>();
    greedy.add_task_subscriber(Arc::new(never), None).await.unwrap();
    for _ in 0..limits::TASKS_AT_ONCE {
        greedy.task_send(Task::new(Node::Null).no_reply()).await.unwrap();
    }
    let queue = greedy.task_queue("own").await.unwrap();
    let refused = queue.next_task(Duration::ZERO).await;
    assert!(matches!(refused, Err(CommunicatorError::Limit(_))), "{refused:?}");
    // What is more goes to another, at once.
    let reply = greedy.task_send(Task::new(Node::from("one more"))).await.unwrap().unwrap();
    let other = greedy.another();
    other
        .add_task_subscriber(Arc::new(|task: Incoming| async move { Ok(Answer::Value(task.body)) }), None)
        .await
        .unwrap();
    assert_eq!(reply.last().await.unwrap(), Node::from("one more"));
}

#[tokio::test]
async fn calls_that_are_being_answered_are_bounded() {
    let communicator = LocalCommunicator::new();
    let never = |_: IncomingRpc| std::future::pending::<Answered>();
    communicator.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    for _ in 0..limits::CALLS_AT_ONCE {
        drop(communicator.rpc_send(Rpc::new("silent", Node::Null)).await.unwrap());
    }
    let refused = communicator.rpc_send(Rpc::new("silent", Node::Null)).await;
    assert!(matches!(refused, Err(CommunicatorError::Limit(_))), "{refused:?}");
    // Another worker is not concerned.
    let other = communicator.another();
    other.add_rpc_subscriber(Arc::new(called), Some("free".to_owned())).await.unwrap();
    communicator.rpc_send(Rpc::new("free", Node::Null)).await.unwrap().last().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_are_all_answered() {
    let communicator = LocalCommunicator::new();
    communicator.add_rpc_subscriber(Arc::new(called), Some("busy".to_owned())).await.unwrap();
    let mut replies = Vec::new();
    for index in 0..10_000_i64 {
        replies.push(communicator.rpc_send(Rpc::new("busy", index.into())).await.unwrap());
    }
    for (index, reply) in (0..10_000_i64).zip(replies) {
        assert_eq!(reply.last().await.unwrap(), Node::from(index));
    }
}

#[tokio::test]
async fn a_subscriber_that_is_far_behind_misses_broadcasts_and_goes_on() {
    let communicator = LocalCommunicator::new();
    let (sender, mut heard) = mpsc::channel(2 * limits::BROADCASTS_WAITING);
    let gate = Gate::new();
    let at = gate.clone();
    let slow = move |broadcast: Arc<Broadcast>| {
        let (sender, at) = (sender.clone(), at.clone());
        async move {
            at.pass().await;
            sender.try_send(broadcast.body.clone()).unwrap();
        }
    };
    communicator.add_broadcast_subscriber(Arc::new(slow), BroadcastFilter::all(), None).await.unwrap();
    communicator.broadcast_send(Broadcast::new(Node::from(-1))).await.unwrap();
    gate.reached().await;
    // One is at the subscriber, the others wait; 50 are too many.
    for index in 0..i64::try_from(limits::BROADCASTS_WAITING).unwrap() + 50 {
        communicator.broadcast_send(Broadcast::new(index)).await.unwrap();
    }
    gate.open(limits::BROADCASTS_WAITING + 2);
    for index in -1..i64::try_from(limits::BROADCASTS_WAITING).unwrap() {
        assert_eq!(heard.recv().await.unwrap(), Node::from(index));
    }
    communicator.broadcast_send(Broadcast::new(Node::from("after"))).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), Node::from("after"));
}

#[tokio::test]
async fn a_body_that_no_message_could_carry_is_refused() {
    let communicator = LocalCommunicator::new();
    let many = Node::Sequence(vec![Node::Null; limits::BODY_NODES]);
    let long = Node::text("x".repeat(limits::BODY_BYTES + 1));
    for body in [many, long] {
        let refused = communicator.task_send(Task::new(body)).await;
        assert!(matches!(refused, Err(CommunicatorError::Malformed { .. })), "{refused:?}");
    }
}

/// A communicator whose subscriber holds it is kept, until it is closed.
#[tokio::test]
async fn a_subscriber_that_holds_its_communicator_is_let_go_by_a_close() {
    let communicator = LocalCommunicator::new();
    let held = Arc::new(());
    let (itself, kept) = (communicator.clone(), Arc::clone(&held));
    let subscriber = move |_: Incoming| {
        let _used = (&itself, &kept);
        async { Ok(Answer::Value(Node::Null)) }
    };
    communicator.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
    communicator.close().await.unwrap();
    drop(communicator);
    eventually(|| async { Arc::strong_count(&held) == 1 }).await;
}
