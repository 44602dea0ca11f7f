//! Sentence 7: identifiers.

use std::fmt::Debug;
use std::sync::Arc;

use super::{
    Broadcast, BroadcastFilter, Communicator, CommunicatorError, CommunicatorResult, Incoming, PATIENCE, Rpc, Subject,
    answers, call, last, send, soon, value,
};
use crate::communicator::{IncomingRpc, Task};
use crate::limits;
use crate::message::Node;

async fn add(communicator: &Arc<dyn Communicator>, kind: &str, identifier: Option<&str>) -> CommunicatorResult<String> {
    let identifier = identifier.map(str::to_owned);
    let does = Arc::new(|_: Incoming| async { value("done") });
    let answers = Arc::new(|call: IncomingRpc| async move { value(call.recipient) });
    let hears = Arc::new(|_: Arc<Broadcast>| async {});
    let added = match kind {
        "task" => communicator.add_task_subscriber(does, identifier),
        "rpc" => communicator.add_rpc_subscriber(answers, identifier),
        _ => communicator.add_broadcast_subscriber(hears, BroadcastFilter::all(), identifier),
    };
    soon("a subscription", added).await
}

async fn remove(communicator: &Arc<dyn Communicator>, kind: &str, identifier: &str) -> CommunicatorResult<()> {
    let removed = match kind {
        "task" => communicator.remove_task_subscriber(identifier),
        "rpc" => communicator.remove_rpc_subscriber(identifier),
        _ => communicator.remove_broadcast_subscriber(identifier),
    };
    soon("a removal", removed).await
}

/// An identifier belongs to one subscriber of its kind; one of another kind may have it too, and the next one after it.
pub async fn a_second_subscriber_under_an_identifier_is_refused(subject: Subject) {
    let communicator = subject.connect().await;
    for &kind in subject.kinds() {
        assert_eq!(add(&communicator, kind, Some("mine")).await.unwrap(), "mine");
        let refused = add(&communicator, kind, Some("mine")).await.unwrap_err();
        assert!(matches!(&refused, CommunicatorError::Duplicate(taken) if taken == "mine"), "{kind}: {refused:?}");
        add(&communicator, kind, Some("other")).await.unwrap();
    }
    // The first one was not harmed.
    assert_eq!(last(call(&communicator, "mine", 1_i64).await).await.unwrap(), Node::text("mine"));
    for &kind in subject.kinds() {
        remove(&communicator, kind, "mine").await.unwrap();
        assert_eq!(add(&communicator, kind, Some("mine")).await.unwrap(), "mine");
    }
    assert_eq!(last(call(&communicator, "mine", 1_i64).await).await.unwrap(), Node::text("mine"));
}

/// What is not there cannot be removed, nor twice, nor what is of another kind.
pub async fn the_removal_of_an_unknown_identifier_is_refused(subject: Subject) {
    let communicator = subject.connect().await;
    for &kind in subject.kinds() {
        unknown(remove(&communicator, kind, "never there").await, "never there");
        add(&communicator, kind, Some(kind)).await.unwrap();
        for other in ["task", "rpc", "broadcast"].into_iter().filter(|other| *other != kind) {
            unknown(remove(&communicator, other, kind).await, kind);
        }
        remove(&communicator, kind, kind).await.unwrap();
        unknown(remove(&communicator, kind, kind).await, kind);
    }
}

#[track_caller]
fn unknown(removed: CommunicatorResult<()>, expected: &str) {
    assert!(matches!(&removed, Err(CommunicatorError::Unknown(unknown)) if unknown == expected), "{removed:?}");
}

/// What cannot be an identifier or the name of a queue is refused wherever it is given.
pub async fn identifiers_that_cannot_be_are_refused(subject: Subject) {
    let communicator = subject.connect().await;
    let long = "x".repeat(limits::IDENTIFIER_BYTES + 1);
    for identifier in ["", "*", "#", "a.*", "#.a", "a.*.b", &long] {
        for kind in ["task", "rpc", "broadcast"] {
            refused(add(&communicator, kind, Some(identifier)).await, identifier);
        }
        refused(communicator.rpc_send(Rpc::new(identifier, Node::Null)).await, identifier);
    }
    for name in ["", "*", "#", "a.*", "#.a", "a.*.b", "amq.queue", "two\nlines", &long] {
        refused(communicator.task_send(Task::new(Node::Null).queue(name)).await, name);
        refused(communicator.task_queue(name).await, name);
    }
}

#[track_caller]
fn refused<T: Debug>(result: CommunicatorResult<T>, identifier: &str) {
    assert!(matches!(result, Err(CommunicatorError::Identifier { .. })), "`{identifier}`: {result:?}");
}

/// Whatever else is text is an identifier, and the name of a queue.
pub async fn odd_identifiers_are_identifiers(subject: Subject) {
    let (caller, worker) = subject.pair().await;
    let long = "x".repeat(limits::IDENTIFIER_BYTES);
    for identifier in [" ", "a.b", ".", "[rpc].a", "a*", "*a.#b", "ünï — \u{1F600}", "two\nlines", "5ce11889", &long]
    {
        assert_eq!(add(&worker, "rpc", Some(identifier)).await.unwrap(), identifier);
    }
    for identifier in [" ", "a.b", ".", "[rpc].a", "a*", "*a.#b", "ünï — \u{1F600}", "two\nlines", "5ce11889", &long]
    {
        assert_eq!(last(call(&caller, identifier, 1_i64).await).await.unwrap(), Node::text(identifier));
        remove(&worker, "rpc", identifier).await.unwrap();
        if identifier.contains('\n') || !subject.tasks {
            continue;
        }
        let queue = soon("a queue", worker.task_queue(identifier)).await.unwrap();
        drop(send(&caller, Task::new(Node::text(identifier)).queue(identifier)).await);
        let task = soon("a task", queue.next_task(PATIENCE)).await.unwrap().expect("there is one");
        assert_eq!(task.body(), &Node::text(identifier));
        task.processing(|_| async { Ok(Node::Null) }).await.unwrap();
    }
}

/// Where no identifier is given, one is made that nobody else has.
pub async fn an_identifier_is_made_where_none_is_given(subject: Subject) {
    let (caller, worker) = subject.pair().await;
    let mut made = std::collections::BTreeSet::new();
    for &kind in subject.kinds() {
        for _ in 0..3 {
            let identifier = add(&worker, kind, None).await.unwrap();
            if kind == "rpc" {
                assert_eq!(last(call(&caller, &identifier, 1_i64).await).await.unwrap(), Node::text(&*identifier));
            }
            remove(&worker, kind, &identifier).await.unwrap();
            assert!(made.insert(identifier));
        }
    }
    answers(&worker, "named", |_: IncomingRpc| async { value("named") }).await;
    assert_eq!(last(call(&caller, "named", 1_i64).await).await.unwrap(), Node::text("named"));
}
