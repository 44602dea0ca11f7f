//! Sentence 3: calls.

use super::{
    Answered, CommunicatorError, Gate, Outbox, PATIENCE, Rpc, RpcSubscriber, Subject, answers, call, deadline, inbox,
    last, soon, value,
};
use crate::communicator::IncomingRpc;
use crate::message::Node;

/// Answers with its name and what was asked.
fn named(name: &'static str) -> impl RpcSubscriber {
    move |call: IncomingRpc| async move { value(format!("{name} {} {}", call.recipient, call.body)) }
}

/// A call goes to the subscriber of its identifier, of another communicator or the same.
pub async fn a_call_reaches_the_subscriber_of_its_identifier(subject: Subject) {
    let (first, second) = subject.pair().await;
    answers(&first, "one", named("first")).await;
    answers(&first, "two", named("first")).await;
    answers(&second, "three", named("second")).await;
    for caller in [&first, &second] {
        for (identifier, name) in [("one", "first"), ("two", "first"), ("three", "second")] {
            let reply = call(caller, identifier, 7_i64).await;
            assert_eq!(last(reply).await.unwrap(), Node::text(format!("{name} {identifier} 7")));
        }
    }
}

/// A call to nobody is unroutable: where there never was anybody, where it was removed, where its communicator has closed.
pub async fn a_call_to_nobody_is_unroutable(subject: Subject) {
    let (caller, worker) = subject.pair().await;
    answers(&worker, "removed", named("worker")).await;
    answers(&worker, "closed", named("worker")).await;
    last(call(&caller, "removed", "still there").await).await.unwrap();
    worker.remove_rpc_subscriber("removed").await.unwrap();
    // Other kinds of subscribers have identifiers of their own.
    let filter = super::BroadcastFilter::all();
    let ignores = |_: std::sync::Arc<super::Broadcast>| async {};
    worker.add_broadcast_subscriber(std::sync::Arc::new(ignores), filter, Some("deaf".to_owned())).await.unwrap();
    for identifier in ["never there", "removed", "deaf"] {
        unroutable(&caller, identifier).await;
    }
    worker.close().await.unwrap();
    // A broker may take a moment to see that it has gone.
    let gone = async {
        while !matches!(
            caller.rpc_send(Rpc::new("closed", Node::Null)).await,
            Err(CommunicatorError::Unroutable { .. })
        ) {}
    };
    soon("that it has gone", gone).await;
}

async fn unroutable(caller: &std::sync::Arc<dyn super::Communicator>, identifier: &str) {
    let sent = soon("the refusal", caller.rpc_send(Rpc::new(identifier, Node::Null))).await;
    assert!(
        matches!(&sent, Err(CommunicatorError::Unroutable { recipient }) if recipient == identifier),
        "`{identifier}`: {sent:?}"
    );
}

/// Calls to one subscriber are answered beside one another, each reply to its call.
pub async fn calls_are_answered_beside_one_another(subject: Subject) {
    let (caller, worker) = subject.pair().await;
    let (outbox, mut begun) = inbox();
    let gate = Gate::new();
    answers(&worker, "busy", held(&outbox, &gate)).await;
    let mut replies = Vec::new();
    for index in 0..100_i64 {
        replies.push(call(&caller, "busy", index).await);
    }
    for _ in 0..100 {
        begun.next().await;
    }
    gate.open(100);
    for (index, reply) in (0..100_i64).zip(replies) {
        assert_eq!(last(reply).await.unwrap(), Node::from(index));
    }
}

/// A subscriber that waits at a gate before it answers with what was asked.
pub(super) fn held(outbox: &Outbox<IncomingRpc>, gate: &Gate) -> impl RpcSubscriber + use<> {
    let (outbox, gate) = (outbox.clone(), gate.clone());
    move |call: IncomingRpc| {
        let (outbox, gate) = (outbox.clone(), gate.clone());
        async move {
            outbox.put(call.clone());
            gate.pass().await;
            value(call.body)
        }
    }
}

/// A subscriber may itself call, its own communicator too, and as deep as it likes.
pub async fn a_subscriber_may_call_another(subject: Subject) {
    let (caller, worker) = subject.pair().await;
    let relay = worker.clone();
    answers(&worker, "relay", move |call: IncomingRpc| {
        let relay = std::sync::Arc::downgrade(&relay);
        async move {
            let Node::Integer(left @ 1..) = call.body else { return value("the end") };
            let relay = relay.upgrade().unwrap();
            let body = Node::Integer(left - 1);
            let reply = relay.rpc_send(Rpc::new("relay", body)).await.map_err(super::super::Refusal::failed)?;
            drop(relay);
            reply.last().await.map(Into::into).map_err(super::super::Refusal::failed)
        }
    })
    .await;
    assert_eq!(last(call(&caller, "relay", 50_i64).await).await.unwrap(), Node::text("the end"));
}

/// A call whose subscriber is lost before it answers fails, with its deadline at the latest, and is not given to another.
pub async fn a_call_whose_subscriber_is_lost_fails(subject: Subject) {
    let (caller, lost) = subject.pair().await;
    let (outbox, mut begun) = inbox();
    answers(&lost, "lost", held(&outbox, &Gate::new())).await;
    let sent = caller.rpc_send(Rpc::new("lost", Node::Null).deadlines(deadline(std::time::Duration::from_secs(2))));
    let reply = soon("the sending", sent).await.unwrap();
    begun.next().await;
    lost.close().await.unwrap();
    let other = subject.connect().await;
    answers(&other, "lost", held(&outbox, &Gate::new())).await;
    let failed = last(reply).await.unwrap_err();
    let expected = matches!(failed, CommunicatorError::Timeout { .. } | CommunicatorError::Disconnected(_));
    assert!(expected, "{failed:?}");
    assert!(begun.rest().is_empty(), "it was given to another");
}

/// A subscriber that does not answer costs its caller no more than the deadline, and others nothing.
pub async fn a_subscriber_that_never_answers_holds_up_nobody(subject: Subject) {
    let (caller, worker) = subject.pair().await;
    answers(&worker, "silent", |_: IncomingRpc| std::future::pending::<Answered>()).await;
    answers(&worker, "quick", named("worker")).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        let brief = Rpc::new("silent", Node::Null).deadlines(deadline(super::BRIEF));
        silent.push(soon("the sending", caller.rpc_send(brief)).await.unwrap());
    }
    last(call(&caller, "quick", 1_i64).await.within(PATIENCE)).await.unwrap();
    for reply in silent {
        let failed = last(reply).await.unwrap_err();
        assert!(matches!(failed, CommunicatorError::Timeout { within, .. } if within == super::BRIEF), "{failed:?}");
    }
    last(call(&caller, "quick", 2_i64).await).await.unwrap();
}
