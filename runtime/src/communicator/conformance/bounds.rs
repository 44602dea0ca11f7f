//! Sentences 10 and 12: deadlines and limits.

use std::time::Duration;
use tokio::time::Instant;

use super::tasks::holds;
use super::{
    Answered, BRIEF, Broadcast, CommunicatorError, CommunicatorResult, Gate, Incoming, Rpc, Subject, Task, answers,
    call, deadline, inbox, last, later, send, soon, value, works,
};
use crate::communicator::IncomingRpc;
use crate::limits;
use crate::message::Node;

#[track_caller]
fn timed_out(ended: CommunicatorResult<Node>, expected: Duration) {
    assert!(matches!(ended, Err(CommunicatorError::Timeout { within, .. }) if within == expected), "{ended:?}");
}

/// A reply that does not come is a timeout: of a task that nobody takes, and of what is not answered.
pub async fn a_reply_has_a_deadline(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let begin = Instant::now();
    if subject.tasks {
        let nobody = send(&sender, Task::new(Node::Null).queue("nobody takes").deadlines(deadline(BRIEF))).await;
        timed_out(last(nobody).await, BRIEF);
        assert!(begin.elapsed() >= BRIEF, "{:?}", begin.elapsed());

        works(&worker, |_: Incoming| std::future::pending::<Answered>()).await;
        let task = send(&sender, Task::new(Node::Null).deadlines(deadline(BRIEF))).await;
        timed_out(last(task).await, BRIEF);
    }
    answers(&worker, "silent", |_: IncomingRpc| std::future::pending::<Answered>()).await;
    let call = sender.rpc_send(Rpc::new("silent", Node::Null).deadlines(deadline(BRIEF))).await.unwrap();
    timed_out(last(call).await, BRIEF);
    assert!(begin.elapsed() >= BRIEF, "{:?}", begin.elapsed());
}

/// The deadline is that of the last level; who awaits can give another.
pub async fn a_deadline_is_for_all_levels_and_can_be_changed(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let gate = Gate::new();
    let held = if subject.tasks { Some(holds(&worker, &gate).await) } else { None };
    let at = gate.clone();
    answers(&worker, "held", move |call: IncomingRpc| {
        let at = at.clone();
        async move {
            later(async move {
                at.pass().await;
                value(call.body)
            })
        }
    })
    .await;
    let ask = async |body: &str, within| match held {
        Some(_) => send(&sender, Task::new(Node::text(body)).deadlines(deadline(within))).await,
        None => sender.rpc_send(Rpc::new("held", Node::text(body)).deadlines(deadline(within))).await.unwrap(),
    };
    timed_out(last(ask("late", BRIEF).await).await, BRIEF);
    let longer = ask("late", BRIEF).await.within(super::PATIENCE);
    gate.open(2);
    assert_eq!(last(longer).await.unwrap(), Node::text("late"));
    let shorter = ask("shorter", super::PATIENCE).await.within(BRIEF);
    timed_out(last(shorter).await, BRIEF);
    let endless = ask("endless", Duration::MAX).await;
    gate.open(2);
    assert_eq!(last(endless).await.unwrap(), Node::text("endless"));
}

/// An answer that comes after the deadline harms nobody.
pub async fn an_answer_after_the_deadline_harms_nobody(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let gate = Gate::new();
    let (outbox, mut begun) = inbox();
    answers(&worker, "slow", super::calls::held(&outbox, &gate)).await;
    for _ in 0..10 {
        let brief = Rpc::new("slow", Node::Null).deadlines(deadline(Duration::from_millis(1)));
        timed_out(last(sender.rpc_send(brief).await.unwrap()).await, Duration::from_millis(1));
    }
    for _ in 0..10 {
        begun.next().await;
    }
    gate.open(11);
    assert_eq!(last(call(&sender, "slow", "in time").await).await.unwrap(), Node::text("in time"));
}

/// A body that is nested deeper than it may be is refused where it is sent, and what is below the limit arrives.
pub async fn a_body_that_is_nested_too_deep_is_refused(subject: Subject) {
    fn nested(depth: usize) -> Node {
        (0..depth).fold(Node::Integer(1), |node, _| Node::Sequence(vec![node]))
    }
    let (sender, worker) = subject.pair().await;
    answers(&worker, "asked", |call: IncomingRpc| async move { value(call.body) }).await;
    let deep = nested(limits::BODY_DEPTH - 10);
    assert_eq!(last(call(&sender, "asked", deep.clone()).await).await.unwrap(), deep);
    let too_deep = nested(limits::BODY_DEPTH + 10);
    refused(soon("the refusal", sender.rpc_send(Rpc::new("asked", too_deep.clone()))).await);
    refused(soon("the refusal", sender.task_send(Task::new(too_deep.clone()))).await);
    refused(soon("the refusal", sender.broadcast_send(Broadcast::new(too_deep))).await);
}

#[track_caller]
fn refused<T: std::fmt::Debug>(sent: CommunicatorResult<T>) {
    assert!(matches!(sent, Err(CommunicatorError::Malformed { .. })), "{sent:?}");
}

/// An answer that cannot be sent is an error at who asked, not a silence.
pub async fn an_answer_that_cannot_be_sent_is_an_error(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let deep = || (0..limits::BODY_DEPTH + 10).fold(Node::Integer(1), |node, _| Node::Sequence(vec![node]));
    if subject.tasks {
        works(&worker, move |_: Incoming| async move { value(deep()) }).await;
        let of_task = last(send(&sender, Task::new(Node::Null)).await).await;
        assert!(matches!(of_task, Err(CommunicatorError::Remote(_))), "{of_task:?}");
    }
    answers(&worker, "asked", move |_: IncomingRpc| async move { value(deep()) }).await;
    let of_call = last(call(&sender, "asked", 1_i64).await).await;
    assert!(matches!(of_call, Err(CommunicatorError::Remote(_))), "{of_call:?}");
}

/// A long body arrives whole.
pub async fn a_long_body_arrives(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let long = Node::Sequence(vec![Node::text("ünï ".repeat(50_000)), Node::text("end")]);
    if subject.tasks {
        works(&worker, |task: Incoming| async move { value(task.body) }).await;
        assert_eq!(last(send(&sender, Task::new(long.clone())).await).await.unwrap(), long);
    } else {
        answers(&worker, "asked", |call: IncomingRpc| async move { value(call.body) }).await;
        assert_eq!(last(call(&sender, "asked", long.clone()).await).await.unwrap(), long);
    }
}
