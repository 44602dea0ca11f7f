//! Sentence 6: when a task is acknowledged, and replies that are sent later.

use std::sync::Arc;

use super::{
    Answer, Gate, Incoming, Subject, echo, inbox, last, later, nothing_else_waits, send, soon, task, value, works,
};
use crate::communicator::{CommunicatorError, Refusal, Replied, Reply, ReplyAddress};
use crate::message::Node;

/// A task that was answered is not given again: with a value, an error, or a cancellation.
pub async fn a_task_that_was_answered_is_not_given_again(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    works(&worker, |task: Incoming| async move {
        match task.body.as_text() {
            Some("fail") => Err(Refusal::failed("as it should")),
            Some("cancel") => Err(Refusal::Cancelled("as it should".to_owned())),
            Some("later") => later(async { value("later") }),
            _ => value("done"),
        }
    })
    .await;
    for body in ["done", "later", "fail", "cancel"] {
        let ended = last(send(&sender, task(body)).await).await;
        assert_eq!(ended.is_ok(), matches!(body, "done" | "later"), "{ended:?}");
    }
    worker.close().await.unwrap();
    let (outbox, mut done) = inbox();
    let other = subject.connect().await;
    works(&other, echo(&outbox)).await;
    nothing_else_waits(&sender, &mut done).await;
}

/// The level below, which says that the answer follows.
async fn follows(reply: Reply) -> Reply {
    match soon("that it follows", reply).await.unwrap() {
        Replied::Pending(next) => next,
        Replied::Value(node) => panic!("the value came at once: {node}"),
    }
}

/// A task that was taken over is acknowledged before its answer is there, which arrives all the same.
pub async fn a_task_that_was_taken_over_is_not_given_again(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let gate = Gate::new();
    let at = gate.clone();
    let (outbox, mut taken) = inbox();
    let owing = Arc::downgrade(&worker);
    works(&worker, move |task: Incoming| {
        let address = task.reply_to.clone().unwrap();
        outbox.put(address.clone());
        let (at, owing) = (at.clone(), owing.clone());
        async move {
            Ok(Answer::Owed(Box::pin(async move {
                at.pass().await;
                owing.upgrade().unwrap().reply(&address, Ok(task.body)).await.unwrap();
            })))
        }
    })
    .await;
    let first = follows(send(&sender, task("in time")).await).await;
    gate.open(1);
    assert_eq!(last(first).await.unwrap(), Node::text("in time"));
    taken.next().await;
    let second = follows(send(&sender, task("too late")).await).await;
    let address = taken.next().await;
    worker.close().await.unwrap();
    let (outbox, mut done) = inbox();
    let other = subject.connect().await;
    works(&other, echo(&outbox)).await;
    nothing_else_waits(&sender, &mut done).await;
    soon("the sending", other.reply(&address, Ok(Node::text("by another")))).await.unwrap();
    assert_eq!(last(second).await.unwrap(), Node::text("by another"));
}

/// A reply that is owed can be sent by anyone, later, with nothing but the text of its address; a second one is no error.
pub async fn an_owed_reply_is_sent_by_anyone(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let (outbox, mut owed) = inbox();
    works(&worker, move |task: Incoming| {
        outbox.put(serde_json::to_string(&task.reply_to).unwrap());
        async { Ok(Answer::Owed(Box::pin(async {}))) }
    })
    .await;
    let answers = [
        Ok(Node::mapping([("sum", Node::Integer(5))])),
        Err(Refusal::failed("in the end it failed")),
        Err(Refusal::Cancelled("in the end".to_owned())),
    ];
    let mut addresses = Vec::new();
    let mut replies = Vec::new();
    for _ in &answers {
        replies.push(follows(send(&sender, task("owed")).await).await);
        addresses.push(serde_json::from_str::<ReplyAddress>(&owed.next().await).unwrap());
    }
    worker.close().await.unwrap();
    let other = subject.connect().await;
    for ((address, reply), answer) in addresses.iter().zip(replies).zip(answers) {
        soon("the sending", other.reply(address, answer.clone())).await.unwrap();
        match (answer, last(reply).await) {
            (Ok(expected), Ok(node)) => assert_eq!(node, expected),
            (Err(Refusal::Failed(expected)), Err(CommunicatorError::Remote(text))) => assert_eq!(text, expected),
            (Err(Refusal::Cancelled(expected)), Err(CommunicatorError::Cancelled { text })) => {
                assert_eq!(text, Some(expected));
            }
            (expected, got) => panic!("{expected:?}: {got:?}"),
        }
        soon("the sending", other.reply(address, Ok(Node::text("again")))).await.unwrap();
    }
    let (outbox, mut done) = inbox();
    works(&other, echo(&outbox)).await;
    nothing_else_waits(&sender, &mut done).await;
}

/// Who asked may have gone when its reply is sent.
pub async fn a_reply_to_who_has_gone_is_no_error(subject: Subject) {
    let (gone, worker) = subject.pair().await;
    let (outbox, mut owed) = inbox();
    works(&worker, move |task: Incoming| {
        outbox.put(task.reply_to.clone().unwrap());
        async { Ok(Answer::Owed(Box::pin(async {}))) }
    })
    .await;
    let reply = follows(send(&gone, task("owed")).await).await;
    gone.close().await.unwrap();
    let address = owed.next().await;
    soon("the sending", worker.reply(&address, Ok(Node::Null))).await.unwrap();
    let failed = last(reply).await.unwrap_err();
    assert!(matches!(failed, CommunicatorError::Closed), "{failed:?}");
}
