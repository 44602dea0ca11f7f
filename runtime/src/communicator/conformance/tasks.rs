//! Sentences 1 and 2: who gets a task.

use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

use super::{
    Answered, Gate, Inbox, Incoming, Outbox, Subject, echo, inbox, last, later, nothing_else_waits, send, soon, task,
    text_of, value, works,
};
use crate::communicator::{Refusal, Task};
use crate::limits;
use crate::message::Node;

/// A task goes to one subscriber, wherever it is.
pub async fn a_task_goes_to_one_subscriber(subject: Subject) {
    let (sender, first) = subject.pair().await;
    let second = subject.connect().await;
    let (outbox, mut done) = inbox();
    for worker in [&first, &first, &second] {
        works(worker, echo(&outbox)).await;
    }
    let mut replies = Vec::new();
    for index in 0..30_i64 {
        replies.push(send(&sender, task(index)).await);
    }
    for (index, reply) in (0..30_i64).zip(replies) {
        assert_eq!(last(reply).await.unwrap(), Node::from(index));
    }
    let mut bodies = BTreeSet::new();
    for _ in 0..30 {
        let task = done.next().await;
        assert!(!task.redelivered, "{task:?}");
        assert!(bodies.insert(task.body.to_string()), "{task:?} came twice");
    }
    nothing_else_waits(&sender, &mut done).await;
}

/// A task arrives as it was sent: with its body and its id; ids that are made differ, and one that is repeated is the same.
pub async fn a_task_has_an_id_that_tells_a_repetition(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let (outbox, mut done) = inbox();
    works(&worker, echo(&outbox)).await;
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        last(send(&sender, task("anything")).await).await.unwrap();
        ids.insert(done.next().await.id);
    }
    assert_eq!(ids.len(), 3, "{ids:?}");
    // Once, or each time: but always with the same answer.
    for _ in 0..2 {
        let answer = last(send(&sender, task("mine").id("my own id")).await).await;
        assert_eq!(answer.unwrap(), Node::text("mine"));
    }
    assert_eq!(done.next().await.id, "my own id");
    assert!(done.rest().iter().all(|task| task.id == "my own id"));
}

/// A subscriber that tells its name and rejects.
fn rejects(
    name: &'static str,
    outbox: &Outbox<(&'static str, Incoming, Instant)>,
) -> impl super::TaskSubscriber + use<> {
    let outbox = outbox.clone();
    move |task: Incoming| {
        outbox.put((name, task, Instant::now()));
        async { Answered::Err(Refusal::Rejected("not for me".to_owned())) }
    }
}

/// A rejected task goes to the next subscriber of the same communicator, in the order in which they were added.
pub async fn a_rejected_task_goes_to_the_next_subscriber(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let (outbox, mut seen) = inbox();
    for name in ["first", "second", "third"] {
        works(&worker, rejects(name, &outbox)).await;
    }
    works(&worker, |_: Incoming| async { value("done") }).await;
    let reply = send(&sender, task("for the last")).await;
    assert_eq!(last(reply).await.unwrap(), Node::text("done"));
    let seen: Vec<_> = seen.rest().into_iter().map(|(name, task, _)| (name, task.redelivered)).collect();
    assert_eq!(seen, [("first", false), ("second", false), ("third", false)]);
}

/// A task that all reject comes back, and not at once.
pub async fn a_task_that_all_reject_comes_back_after_a_while(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let (outbox, mut seen) = inbox();
    works(&worker, rejects("first", &outbox)).await;
    works(&worker, rejects("second", &outbox)).await;
    let mut reply = send(&sender, task("for nobody").id("the same")).await;
    let mut rounds = Vec::new();
    for _ in 0..3 {
        for expected in ["first", "second"] {
            let (name, task, at) = seen.next().await;
            assert_eq!((name, task.id.as_str(), task.redelivered), (expected, "the same", !rounds.is_empty()));
            if name == "second" {
                rounds.push(at);
            }
        }
    }
    for pair in rounds.windows(2) {
        assert!(pair[1] - pair[0] >= limits::REJECTED, "it came back after {:?}", pair[1] - pair[0]);
    }
    // The sender hears nothing of it.
    let waited = tokio::time::timeout(std::time::Duration::from_millis(1), &mut reply).await;
    assert!(waited.is_err(), "{waited:?}");
}

/// What one worker rejects, another takes.
pub async fn a_task_that_one_communicator_rejects_is_taken_by_another(subject: Subject) {
    let (sender, picky) = subject.pair().await;
    let (outbox, mut seen) = inbox();
    works(&picky, rejects("picky", &outbox)).await;
    let reply = send(&sender, task("for the other")).await;
    seen.next().await;
    let other = subject.connect().await;
    works(&other, |task: Incoming| async move { value(task.redelivered) }).await;
    assert_eq!(last(reply).await.unwrap(), Node::Bool(true), "it was given to one before");
}

/// Tasks wait for a subscriber; nothing is lost where there are many.
pub async fn tasks_wait_for_a_subscriber(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let mut replies = Vec::new();
    for index in 0..1_000_i64 {
        replies.push(send(&sender, task(index)).await);
    }
    works(&worker, |task: Incoming| async move { value(task.body) }).await;
    for (index, reply) in (0..1_000_i64).zip(replies) {
        assert_eq!(last(reply).await.unwrap(), Node::from(index));
    }
}

/// A task without a reply is done, and says that none is wanted.
pub async fn a_task_without_a_reply_is_done(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let (outbox, mut done) = inbox();
    works(&worker, echo(&outbox)).await;
    let sent = soon("the sending", sender.task_send(task("quietly").no_reply())).await.unwrap();
    assert!(sent.is_none(), "{sent:?}");
    let incoming = done.next().await;
    assert_eq!(text_of(&incoming.body), "quietly");
    assert_eq!(incoming.reply_to, None);
    nothing_else_waits(&sender, &mut done).await;
}

/// A worker that holds its tasks until a gate opens, and never if it does not.
pub(super) async fn holds(worker: &std::sync::Arc<dyn super::Communicator>, gate: &Gate) -> Inbox<Incoming> {
    let (outbox, held) = inbox();
    let gate = gate.clone();
    works(worker, move |task: Incoming| {
        let (outbox, gate) = (outbox.clone(), gate.clone());
        async move {
            outbox.put(task.clone());
            later(async move {
                gate.pass().await;
                value(task.body)
            })
        }
    })
    .await;
    held
}

/// Tasks that a worker has not answered when it is lost are given to another.
pub async fn tasks_of_a_lost_worker_are_given_to_another(subject: Subject) {
    let (sender, lost) = subject.pair().await;
    let mut held = holds(&lost, &Gate::new()).await;
    let mut replies = Vec::new();
    for index in 0..20_i64 {
        replies.push(send(&sender, task(index).id(format!("task {index}"))).await);
    }
    for _ in 0..20 {
        assert!(!held.next().await.redelivered);
    }
    lost.close().await.unwrap();
    let (outbox, mut done) = inbox();
    let other = subject.connect().await;
    works(&other, echo(&outbox)).await;
    for (index, reply) in (0..20_i64).zip(replies) {
        assert_eq!(last(reply).await.unwrap(), Node::from(index));
    }
    let mut seen = BTreeMap::new();
    for _ in 0..20 {
        let task = done.next().await;
        assert!(task.redelivered, "{task:?}");
        assert_eq!(task.id, format!("task {}", task.body));
        assert!(seen.insert(task.id, task.body).is_none(), "it came twice");
    }
    nothing_else_waits(&sender, &mut done).await;
}

/// A communicator that is dropped is lost.
pub async fn tasks_of_a_dropped_communicator_are_given_to_another(subject: Subject) {
    let (sender, dropped) = subject.pair().await;
    let mut held = holds(&dropped, &Gate::new()).await;
    let reply = send(&sender, task("held")).await;
    held.next().await;
    drop(dropped);
    let other = subject.connect().await;
    works(&other, |task: Incoming| async move { value(task.redelivered) }).await;
    assert_eq!(last(reply).await.unwrap(), Node::Bool(true));
}

/// Tasks are done beside one another: one that waits holds up none.
pub async fn tasks_are_done_beside_one_another(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let gate = Gate::new();
    let mut held = holds(&worker, &gate).await;
    let mut replies = Vec::new();
    for index in 0..100_i64 {
        replies.push(send(&sender, task(index)).await);
    }
    for _ in 0..100 {
        held.next().await;
    }
    gate.open(100);
    for (index, reply) in (0..100_i64).zip(replies) {
        assert_eq!(last(reply).await.unwrap(), Node::from(index));
    }
}

/// A sender that has gone harms nobody: its task is done all the same.
pub async fn a_task_whose_sender_has_gone_is_done(subject: Subject) {
    // Nobody hears when it is done, so the worker may be closed just before: then it comes again, and not as often as this.
    for _ in 0..10 {
        if is_done_without_its_sender(&subject).await {
            return;
        }
    }
    panic!("it came again each time");
}

async fn is_done_without_its_sender(subject: &Subject) -> bool {
    let (gone, worker) = subject.pair().await;
    let gate = Gate::new();
    let mut held = holds(&worker, &gate).await;
    let reply = send(&gone, Task::new(Node::text("orphan"))).await;
    held.next().await;
    gone.close().await.unwrap();
    drop(reply);
    // For those, too, that have come again.
    gate.open(20);
    let sender = subject.connect().await;
    assert_eq!(last(send(&sender, task("another")).await).await.unwrap(), Node::text("another"));
    // The first was acknowledged: another worker is not given it.
    worker.close().await.unwrap();
    let (outbox, mut done) = inbox();
    let other = subject.connect().await;
    works(&other, echo(&outbox)).await;
    let reply = send(&sender, task("the last one")).await;
    let first = done.next().await;
    assert_eq!(last(reply).await.unwrap(), Node::text("the last one"));
    other.close().await.unwrap();
    text_of(&first.body) == "the last one"
}
