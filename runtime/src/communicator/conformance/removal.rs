//! Sentence 8: from when on, and until when, messages arrive.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::held;
use super::tasks::holds;
use super::{
    Broadcast, BroadcastFilter, Communicator, CommunicatorError, Gate, Incoming, Reply, Rpc, Subject, answers, call,
    hears, inbox, last, send, soon, task, tell, value, works,
};
use crate::communicator::IncomingRpc;
use crate::message::Node;

/// What is sent after a subscription has returned arrives, wherever it is sent.
pub async fn what_is_sent_after_a_subscription_arrives(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    for round in 0..20_i64 {
        let identifier = format!("round {round}");
        answers(&worker, &identifier, |call: IncomingRpc| async move { value(call.body) }).await;
        assert_eq!(last(call(&sender, &identifier, round).await).await.unwrap(), Node::from(round));
        worker.remove_rpc_subscriber(&identifier).await.unwrap();
        let (outbox, mut heard) = inbox();
        let added = hears(&worker, BroadcastFilter::all(), move |broadcast: Arc<Broadcast>| {
            outbox.put(broadcast.body.clone());
            async {}
        });
        let added = added.await;
        tell(&sender, Broadcast::new(round)).await;
        assert_eq!(heard.next().await, Node::from(round));
        worker.remove_broadcast_subscriber(&added).await.unwrap();
    }
}

/// While calls rain on a subscriber it is removed: when that has returned, none begins.
pub async fn no_call_arrives_after_a_removal(subject: Subject) {
    let (caller, worker) = subject.pair().await;
    for _ in 0..10 {
        let removed = Arc::new(AtomicBool::new(false));
        let (outbox, mut arrived) = inbox();
        let seen = Arc::clone(&removed);
        answers(&worker, "rained on", move |_: IncomingRpc| {
            let (outbox, seen) = (outbox.clone(), Arc::clone(&seen));
            async move {
                outbox.put(seen.load(Ordering::SeqCst));
                value("done")
            }
        })
        .await;
        let raining = Arc::clone(&caller);
        let rain = tokio::spawn(async move {
            let mut replies = Vec::new();
            loop {
                match raining.rpc_send(Rpc::new("rained on", Node::Null)).await {
                    Ok(reply) => replies.push(reply),
                    Err(error) => return (replies, error),
                }
            }
        });
        arrived.next().await;
        soon("the removal", worker.remove_rpc_subscriber("rained on")).await.unwrap();
        removed.store(true, Ordering::SeqCst);
        let (replies, error) = soon("the end of the rain", rain).await.unwrap();
        assert!(matches!(error, CommunicatorError::Unroutable { .. }), "{error:?}");
        // Those that were under way are answered, or were too late: none is lost.
        for reply in replies {
            let ended = last(reply).await;
            let late = |error: &CommunicatorError| {
                matches!(error, CommunicatorError::Unroutable { .. } | CommunicatorError::Remote(_))
            };
            let expected = ended.as_ref().err().is_none_or(late);
            assert!(expected, "{ended:?}");
        }
        assert!(!arrived.rest().contains(&true), "a call arrived after the removal");
    }
}

/// While broadcasts rain on a subscriber it is removed: when that has returned, it hears none.
pub async fn no_broadcast_arrives_after_a_removal(subject: Subject) {
    let (sender, listener) = subject.pair().await;
    for _ in 0..10 {
        let removed = Arc::new(AtomicBool::new(false));
        let (outbox, mut arrived) = inbox();
        let seen = Arc::clone(&removed);
        let identifier = hears(&listener, BroadcastFilter::all(), move |_: Arc<Broadcast>| {
            let (outbox, seen) = (outbox.clone(), Arc::clone(&seen));
            async move { outbox.put(seen.load(Ordering::SeqCst)) }
        })
        .await;
        let (witness, mut witnessed) = inbox();
        let other = hears(&listener, BroadcastFilter::all(), move |broadcast: Arc<Broadcast>| {
            witness.put(broadcast.body.clone());
            async {}
        })
        .await;
        for index in 0..100_i64 {
            tell(&sender, Broadcast::new(index)).await;
        }
        arrived.next().await;
        soon("the removal", listener.remove_broadcast_subscriber(&identifier)).await.unwrap();
        removed.store(true, Ordering::SeqCst);
        tell(&sender, Broadcast::new(Node::text("end"))).await;
        while witnessed.next().await != Node::text("end") {}
        listener.remove_broadcast_subscriber(&other).await.unwrap();
        assert!(!arrived.rest().contains(&true), "a broadcast arrived after the removal");
    }
}

/// While tasks rain on a subscriber it is removed: when that has returned, none begins, and none is lost.
pub async fn no_task_arrives_after_a_removal_and_none_is_lost(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let removed = Arc::new(AtomicBool::new(false));
    let (outbox, mut arrived) = inbox();
    let seen = Arc::clone(&removed);
    let identifier = works(&worker, move |task: Incoming| {
        let (outbox, seen) = (outbox.clone(), Arc::clone(&seen));
        async move {
            outbox.put(seen.load(Ordering::SeqCst));
            value(task.body)
        }
    })
    .await;
    let mut replies = Vec::new();
    for index in 0..100_i64 {
        replies.push(send(&sender, task(index)).await);
        if index == 30 {
            arrived.next().await;
            soon("the removal", worker.remove_task_subscriber(&identifier)).await.unwrap();
            removed.store(true, Ordering::SeqCst);
        }
    }
    let other = subject.connect().await;
    let (outbox, mut done) = inbox();
    works(&other, super::echo(&outbox)).await;
    for (index, reply) in (0..100_i64).zip(replies) {
        assert_eq!(last(reply).await.unwrap(), Node::from(index));
    }
    assert!(!arrived.rest().contains(&true), "a task arrived after the removal");
    let bodies: BTreeSet<_> = done.rest().into_iter().map(|task| task.body.to_string()).collect();
    assert!((69..100).all(|index| bodies.contains(&index.to_string())), "{bodies:?}");
}

/// What a subscriber had begun when it was removed goes on, and is answered.
pub async fn what_had_arrived_before_a_removal_goes_on(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let gate = Gate::new();
    let (outbox, mut begun) = inbox();
    answers(&worker, "removed", held(&outbox, &gate)).await;
    let of_call = call(&sender, "removed", "a call").await;
    begun.next().await;
    soon("the removal", worker.remove_rpc_subscriber("removed")).await.unwrap();

    let of_task = if subject.tasks { Some(begun_before_a_removal(&sender, &worker, &gate).await) } else { None };

    let (outbox, mut heard) = inbox();
    let at = gate.clone();
    let identifier = hears(&worker, BroadcastFilter::all(), move |_: Arc<Broadcast>| {
        let (outbox, at) = (outbox.clone(), at.clone());
        async move {
            outbox.put("begun");
            at.pass().await;
            outbox.put("done");
        }
    })
    .await;
    tell(&sender, Broadcast::default()).await;
    assert_eq!(heard.next().await, "begun");
    soon("the removal", worker.remove_broadcast_subscriber(&identifier)).await.unwrap();

    gate.open(3);
    assert_eq!(last(of_call).await.unwrap(), Node::text("a call"));
    if let Some(of_task) = of_task {
        assert_eq!(last(of_task).await.unwrap(), Node::text("a task"));
    }
    assert_eq!(heard.next().await, "done");
}

/// The reply to a task that was begun before its subscriber was removed.
async fn begun_before_a_removal(sender: &Arc<dyn Communicator>, worker: &Arc<dyn Communicator>, gate: &Gate) -> Reply {
    let (outbox, mut held) = inbox();
    let at = gate.clone();
    let identifier = works(worker, move |task: Incoming| {
        let (outbox, at) = (outbox.clone(), at.clone());
        async move {
            outbox.put(());
            at.pass().await;
            value(task.body)
        }
    })
    .await;
    let of_task = send(sender, task("a task")).await;
    held.next().await;
    soon("the removal", worker.remove_task_subscriber(&identifier)).await.unwrap();
    of_task
}

/// A subscriber may remove itself, while it is given a message.
pub async fn a_subscriber_may_remove_itself(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let communicator = Arc::downgrade(&worker);
    answers(&worker, "once", move |call: IncomingRpc| {
        let communicator = communicator.upgrade().unwrap();
        async move {
            communicator.remove_rpc_subscriber(&call.recipient).await.map_err(super::super::Refusal::failed)?;
            value("once")
        }
    })
    .await;
    assert_eq!(last(call(&sender, "once", 1_i64).await).await.unwrap(), Node::text("once"));
    let again = soon("the refusal", sender.rpc_send(Rpc::new("once", Node::Null))).await;
    assert!(matches!(again, Err(CommunicatorError::Unroutable { .. })), "{again:?}");
}

/// The last subscriber of tasks is removed while they wait: they go on waiting, and the next one is given them.
pub async fn tasks_wait_while_there_is_no_subscriber(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let gate = Gate::new();
    let identifier = works(&worker, |task: Incoming| async move { value(task.body) }).await;
    assert_eq!(last(send(&sender, task(1_i64)).await).await.unwrap(), Node::from(1));
    worker.remove_task_subscriber(&identifier).await.unwrap();
    let waiting = send(&sender, task(2_i64)).await;
    let mut held = holds(&worker, &gate).await;
    held.next().await;
    gate.open(1);
    assert_eq!(last(waiting).await.unwrap(), Node::from(2));
}
