//! Nothing stays behind, nothing is unbounded, and what overtakes something else harms nobody.

use procession_transport::LocalTransport;
use procession_transport::mesh::{Mesh, MeshBuilder};
use std::sync::Arc;
use std::time::Duration;

use super::wire::{self, End, Progress};
use super::{MeshCommunicator, MeshCommunicatorOptions};
use crate::communicator::{
    Answered, BroadcastFilter, Communicator, CommunicatorError, Deadlines, IncomingRpc, Replied, Rpc,
};
use crate::message::{Broadcast, Node, ReplyBody};

const PATIENCE: Duration = Duration::from_secs(60);
const BRIEF: Deadlines = Deadlines { reply: Duration::from_millis(1), ..Deadlines::RPC };

async fn never(_: IncomingRpc) -> Answered {
    std::future::pending().await
}

/// A registry that has a communicator, too, and another runtime; with so many handlers each.
async fn two(handlers: usize) -> [MeshCommunicator; 2] {
    let transport = Arc::new(LocalTransport::new());
    let first = MeshBuilder::new(transport.clone(), "first".parse().unwrap()).with_handlers(handlers).registry();
    let first = join(first.start().await.unwrap()).await;
    let second = MeshBuilder::new(transport, "second".parse().unwrap()).with_handlers(handlers);
    let second = join(second.join(first.mesh().address()).await.unwrap()).await;
    [first, second]
}

async fn join(mesh: Mesh) -> MeshCommunicator {
    MeshCommunicator::join(mesh, MeshCommunicatorOptions::new()).await.unwrap()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn nothing_is_kept_of_what_has_ended() {
    let [first, second] = two(64).await;
    second.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    let echo = |call: IncomingRpc| async move { Ok(call.body.into()) };
    second.add_rpc_subscriber(Arc::new(echo), Some("echo".to_owned())).await.unwrap();
    for index in 0..50_i64 {
        first.rpc_send(Rpc::new("echo", index.into())).await.unwrap().last().await.unwrap();
        drop(first.rpc_send(Rpc::new("echo", index.into())).await.unwrap());
        first.rpc_send(Rpc::new("silent", index.into()).deadlines(BRIEF)).await.unwrap().last().await.unwrap_err();
        first.rpc_send(Rpc::new("nobody", index.into())).await.map(drop).unwrap_err();
        drop(first.rpc_send(Rpc::new("echo", index.into())));
    }
    until("replies are kept", || first.core().lock().replies.is_empty()).await;
    assert_eq!(first.core().lock().known.len(), 2, "of nobody nothing is remembered");
    second.close().await.unwrap();
    until("a member is kept", || first.core().lock().members.is_empty()).await;
    assert!(first.core().lock().known.is_empty());
    let core = Arc::downgrade(second.core());
    let mesh = second.mesh().clone();
    drop(second);
    until("the communicator is kept", || core.strong_count() == 0).await;
    assert!(!mesh.is_stopped());
}

#[tokio::test]
async fn one_that_is_dropped_says_that_it_goes() {
    let [first, second] = two(64).await;
    second.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    let reply = first.rpc_send(Rpc::new("silent", Node::Null)).await.unwrap();
    let mesh = second.mesh().clone();
    drop(second);
    let failed = tokio::time::timeout(PATIENCE, reply.last()).await.unwrap();
    assert!(matches!(failed, Err(CommunicatorError::Disconnected(Some(_)))), "{failed:?}");
    assert!(first.core().lock().members.is_empty() && !mesh.is_stopped());
}

#[tokio::test]
async fn subscribers_and_replies_are_bounded() {
    let [first, second] = two(64).await;
    first.core().lock().room.subscribers = 2;
    first.core().lock().room.replies = 1;
    let ignores = || Arc::new(|_: Arc<Broadcast>| async {});
    first.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    let added = first.add_broadcast_subscriber(ignores(), BroadcastFilter::all(), None).await.unwrap();
    let refused = [
        first.add_rpc_subscriber(Arc::new(never), None).await,
        first.add_broadcast_subscriber(ignores(), BroadcastFilter::all(), None).await,
    ];
    assert!(refused.iter().all(|refused| matches!(refused, Err(CommunicatorError::Limit(_)))), "{refused:?}");
    first.remove_broadcast_subscriber(&added).await.unwrap();
    first.add_rpc_subscriber(Arc::new(never), None).await.unwrap();
    second.add_rpc_subscriber(Arc::new(never), Some("far".to_owned())).await.unwrap();
    for recipient in ["silent", "far"] {
        let waiting = first.rpc_send(Rpc::new(recipient, Node::Null)).await.unwrap();
        let refused = first.rpc_send(Rpc::new(recipient, Node::Null)).await;
        assert!(matches!(refused, Err(CommunicatorError::Limit(_))), "{refused:?}");
        drop(waiting);
    }
}

#[tokio::test]
async fn calls_that_are_answered_at_once_are_bounded() {
    let [first, second] = two(64).await;
    second.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    let all = u32::try_from(crate::limits::CALLS_AT_ONCE).unwrap();
    let taken = Arc::clone(&second.core().answering).acquire_many_owned(all).await.unwrap();
    for caller in [&first, &second] {
        let refused = caller.rpc_send(Rpc::new("silent", Node::Null)).await;
        assert!(matches!(&refused, Err(error @ CommunicatorError::Limit(_)) if error.is_retryable()), "{refused:?}");
    }
    drop(taken);
    drop(first.rpc_send(Rpc::new("silent", Node::Null)).await.unwrap());
}

/// A runtime that is busy is asked again, so nothing is lost where only one thing is done at once.
#[tokio::test]
async fn a_busy_runtime_is_asked_again() {
    let [first, second] = two(1).await;
    let echo = |call: IncomingRpc| async move { Ok(call.body.into()) };
    second.add_rpc_subscriber(Arc::new(echo), Some("echo".to_owned())).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..50_i64 {
        let first = first.clone();
        calls.spawn(async move {
            let reply = first.rpc_send(Rpc::new("echo", index.into())).await.unwrap();
            first.broadcast_send(Broadcast::new(index)).await.unwrap();
            assert_eq!(reply.last().await.unwrap(), Node::from(index));
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
}

/// What tells of levels may come after the end, or before what was told earlier.
#[tokio::test]
async fn answers_that_overtake_one_another_harm_nobody() {
    let [first, second] = two(64).await;
    second.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    let reply = first.rpc_send(Rpc::new("silent", Node::Null)).await.unwrap();
    let core = first.core();
    let number = core.lock().last_number;
    let progress = |levels, end| Progress { to: core.id, number, levels, end };
    let end = || Some(End::Answer(wire::encode(&Node::from(ReplyBody::Value(Node::text("end")))).unwrap()));
    // Of another runtime, and for a communicator that was here before.
    core.answered(first.mesh().uid(), progress(9, end()));
    core.answered(second.mesh().uid(), Progress { to: second.core().id, ..progress(9, end()) });
    core.answered(second.mesh().uid(), progress(2, None));
    core.answered(second.mesh().uid(), progress(1, None));
    core.answered(second.mesh().uid(), progress(3, end()));
    core.answered(second.mesh().uid(), progress(4, None));
    let mut level = reply;
    for _ in 0..3 {
        level = match level.await.unwrap() {
            Replied::Pending(next) => next,
            Replied::Value(node) => panic!("a level too few: {node}"),
        };
    }
    assert!(matches!(level.await, Ok(Replied::Value(node)) if node == Node::text("end")));
}

/// What comes from others may be anything.
#[tokio::test]
async fn what_cannot_be_read_is_an_error_of_its_sender() {
    let [first, second] = two(64).await;
    second.add_rpc_subscriber(Arc::new(never), Some("silent".to_owned())).await.unwrap();
    let call =
        wire::Call { from: first.core().id, number: 1, recipient: "silent".to_owned(), body: "{not: closed".into() };
    let taken = second.core().called(first.mesh().uid(), call);
    assert!(matches!(taken, wire::Taken::Malformed(_)), "{taken:?}");
    second.core().told(vec![wire::Told { id: None, body: "{not: closed".into() }]);
    let reply = first.rpc_send(Rpc::new("silent", Node::Null)).await.unwrap();
    let number = first.core().lock().last_number;
    let end = Some(End::Answer("{not: closed".into()));
    first.core().answered(second.mesh().uid(), Progress { to: first.core().id, number, levels: 0, end });
    let failed = reply.last().await;
    assert!(matches!(failed, Err(CommunicatorError::Malformed { what: "read", .. })), "{failed:?}");
    let silly: Result<(), _> = first.core().ask(second.mesh().uid(), wire::CALL, &7, PATIENCE).await;
    assert!(silly.is_err());
}

/// One that does not take broadcasts holds up who sends, and nothing grows.
#[tokio::test]
async fn who_is_too_slow_holds_up_who_sends() {
    let [first, _second] = two(64).await;
    let uid: procession_transport::mesh::Uid = "slow".parse().unwrap();
    let (queue, mut jobs) = tokio::sync::mpsc::channel(2);
    let member = super::core::Member { id: uuid::Uuid::now_v7(), queue };
    first.core().lock().members.insert(uid, member);
    let hand_over = || first.broadcast_hand_over(Broadcast::new(Node::Null));
    let (one, two) = (hand_over().await.unwrap(), hand_over().await.unwrap());
    let mut third = hand_over();
    let waits = tokio::time::timeout(Duration::from_millis(50), &mut third).await;
    assert!(waits.is_err(), "there is room for two");
    drop(jobs.recv().await.unwrap());
    let third = tokio::time::timeout(PATIENCE, third).await.unwrap().unwrap();
    one.await.unwrap();
    // What was not sent yet when it goes counts as sent to all who are there.
    drop(jobs);
    two.await.unwrap();
    third.await.unwrap();
    tokio::time::timeout(PATIENCE, hand_over()).await.unwrap().unwrap().await.unwrap();
    let closed = first.core().closed.subscribe();
    first.close().await.unwrap();
    assert!(*closed.borrow());
    let refused = hand_over().await.map(drop);
    assert!(matches!(refused, Err(CommunicatorError::Closed)), "{refused:?}");
}
