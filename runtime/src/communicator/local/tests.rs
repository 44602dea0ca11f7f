//! Nothing stays behind: what is waited for, held or queued is forgotten when it is over.

use std::sync::Arc;
use std::time::Duration;

use super::LocalCommunicator;
use crate::communicator::{
    Answer, Answered, BroadcastFilter, Communicator, CommunicatorError, Deadlines, Incoming, IncomingRpc, Rpc, Task,
};
use crate::message::{Broadcast, Node};

/// What a communicator keeps: replies that are waited for, tasks that it has, queues, tasks in them, callees, communicators.
fn kept(communicator: &LocalCommunicator) -> [usize; 6] {
    let (medium, id) = communicator.medium();
    let mut state = medium.lock();
    let (queues, waiting, callees) = (state.queues.len(), state.waiting, state.callees.len());
    let members = state.members.len();
    let member = state.member(id).unwrap();
    [member.awaited(), member.held.len(), queues, waiting, callees, members]
}

async fn nothing_is_kept(communicator: &LocalCommunicator, of: &str) {
    for _ in 0..2_000 {
        if kept(communicator) == [0, 0, 0, 0, 0, 1] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{of}: {:?} is kept", kept(communicator));
}

const BRIEF: Deadlines = Deadlines { reply: Duration::from_millis(1), ..Deadlines::RPC };

async fn never(_: IncomingRpc) -> Answered {
    std::future::pending().await
}

#[tokio::test]
async fn replies_that_were_had_dropped_or_too_late_are_forgotten() {
    let communicator = LocalCommunicator::new();
    let does = |task: Incoming| async move { Ok(Answer::Later(Box::pin(async { Ok(Answer::Value(task.body)) }))) };
    communicator.add_task_subscriber(Arc::new(does), None).await.unwrap();
    let silent = communicator.add_rpc_subscriber(Arc::new(never), None).await.unwrap();
    for index in 0..100_i64 {
        let reply = communicator.task_send(Task::new(index.into())).await.unwrap().unwrap();
        if index % 2 == 0 {
            reply.last().await.unwrap();
        }
        let reply = communicator.rpc_send(Rpc::new(&*silent, index.into()).deadlines(BRIEF)).await.unwrap();
        if index % 2 == 0 {
            reply.last().await.unwrap_err();
        }
        // The future is dropped, and with it the reply that nobody has seen.
        drop(communicator.rpc_send(Rpc::new(&*silent, index.into())));
    }
    communicator.remove_rpc_subscriber(&silent).await.unwrap();
    nothing_is_kept(&communicator, "replies").await;
}

#[tokio::test]
async fn what_was_refused_leaves_nothing() {
    let communicator = LocalCommunicator::new();
    let sent = communicator.rpc_send(Rpc::new("nobody", Node::Null)).await;
    assert!(matches!(sent, Err(CommunicatorError::Unroutable { .. })), "{sent:?}");
    communicator.task_send(Task::new(Node::Null).queue("")).await.unwrap_err();
    communicator.remove_rpc_subscriber("nobody").await.unwrap_err();
    communicator.broadcast_send(Broadcast::default()).await.unwrap();
    nothing_is_kept(&communicator, "what was refused").await;
}

#[tokio::test]
async fn queues_that_nobody_uses_are_forgotten() {
    let communicator = LocalCommunicator::new();
    for index in 0..100 {
        let queue = communicator.task_queue(&format!("queue {index}")).await.unwrap();
        assert!(queue.next_task(Duration::ZERO).await.unwrap().is_none());
        assert!(queue.next_task(Duration::from_millis(1)).await.unwrap().is_none());
        let task = Task::new(Node::Null).queue(queue.name()).no_reply();
        communicator.task_send(task).await.unwrap();
        drop(queue.next_task(Duration::from_secs(1)).await.unwrap().unwrap());
        let task = queue.next_task(Duration::from_secs(1)).await.unwrap().unwrap();
        task.processing(|_| async { Ok(Node::Null) }).await.unwrap();
    }
    nothing_is_kept(&communicator, "queues").await;
}

#[tokio::test]
async fn a_communicator_that_is_dropped_leaves_nothing_with_the_others() {
    let communicator = LocalCommunicator::new();
    for _ in 0..10 {
        let other = communicator.another();
        other.add_rpc_subscriber(Arc::new(never), Some("mine".to_owned())).await.unwrap();
        let ignores = Arc::new(|_: Arc<Broadcast>| async {});
        other.add_broadcast_subscriber(ignores, BroadcastFilter::all(), None).await.unwrap();
        let does = |_: Incoming| std::future::pending::<Answered>();
        other.add_task_subscriber(Arc::new(does), None).await.unwrap();
        drop(communicator.rpc_send(Rpc::new("mine", Node::Null)).await.unwrap());
        drop(other.task_send(Task::new(Node::Null)).await.unwrap());
        drop(other);
        let queue = communicator.task_queue("tasks").await.unwrap();
        let task = queue.next_task(Duration::from_secs(10)).await.unwrap().unwrap();
        task.processing(|_| async { Ok(Node::Null) }).await.unwrap();
    }
    nothing_is_kept(&communicator, "the others").await;
}

#[tokio::test]
async fn the_medium_goes_with_its_last_communicator() {
    let communicator = LocalCommunicator::new();
    let does = |_: Incoming| std::future::pending::<Answered>();
    communicator.add_task_subscriber(Arc::new(does), None).await.unwrap();
    communicator.add_rpc_subscriber(Arc::new(never), Some("mine".to_owned())).await.unwrap();
    let ignores = Arc::new(|_: Arc<Broadcast>| async {});
    communicator.add_broadcast_subscriber(ignores, BroadcastFilter::all(), None).await.unwrap();
    let task = communicator.task_send(Task::new(Node::Null)).await.unwrap().unwrap();
    let call = communicator.rpc_send(Rpc::new("mine", Node::Null)).await.unwrap();
    communicator.broadcast_send(Broadcast::default()).await.unwrap();
    tokio::task::yield_now().await;
    let medium = Arc::downgrade(communicator.medium().0);
    drop(communicator);
    for reply in [task, call] {
        let closed = reply.last().await;
        assert!(matches!(closed, Err(CommunicatorError::Closed)), "{closed:?}");
    }
    for _ in 0..2_000 {
        if medium.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it is held {} times", medium.strong_count());
}

#[tokio::test]
async fn subscribers_are_bounded() {
    let communicator = LocalCommunicator::new();
    communicator.medium().0.lock().room.subscribers = 3;
    let does = || Arc::new(|_: Incoming| std::future::pending::<Answered>());
    let ignores = || Arc::new(|_: Arc<Broadcast>| async {});
    communicator.add_task_subscriber(does(), None).await.unwrap();
    communicator.add_rpc_subscriber(Arc::new(never), None).await.unwrap();
    let added = communicator.add_broadcast_subscriber(ignores(), BroadcastFilter::all(), None).await.unwrap();
    let refused = [
        communicator.add_task_subscriber(does(), None).await,
        communicator.add_rpc_subscriber(Arc::new(never), None).await,
        communicator.add_broadcast_subscriber(ignores(), BroadcastFilter::all(), None).await,
    ];
    assert!(refused.iter().all(|refused| matches!(refused, Err(CommunicatorError::Limit(_)))), "{refused:?}");
    communicator.remove_broadcast_subscriber(&added).await.unwrap();
    communicator.add_rpc_subscriber(Arc::new(never), None).await.unwrap();
}

#[tokio::test]
async fn replies_that_are_waited_for_are_bounded() {
    let communicator = LocalCommunicator::new();
    communicator.medium().0.lock().room.replies = 2;
    communicator.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    let task = communicator.task_send(Task::new(Node::Null)).await.unwrap();
    let call = communicator.rpc_send(Rpc::new("silent", Node::Null)).await.unwrap();
    let refused = communicator.rpc_send(Rpc::new("silent", Node::Null)).await;
    assert!(matches!(refused, Err(CommunicatorError::Limit(_))), "{refused:?}");
    let refused = communicator.task_send(Task::new(Node::Null)).await;
    assert!(matches!(refused, Err(CommunicatorError::Limit(_))), "{refused:?}");
    communicator.task_send(Task::new(Node::Null).no_reply()).await.unwrap();
    drop(call);
    communicator.rpc_send(Rpc::new("silent", Node::Null)).await.map(drop).unwrap();
    drop(task);
}
