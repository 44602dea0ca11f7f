//! Sentence 5: what arrives at the sender.

use std::sync::Arc;
use tokio::sync::Mutex;

use super::{
    Answer, Answered, Communicator, CommunicatorError, Gate, Incoming, Reply, Subject, answers, call, inbox, last,
    later, send, soon, value, works,
};
use crate::communicator::{IncomingRpc, Refusal, Replied};
use crate::limits;
use crate::message::{Node, STANDARD, UUID};

/// Sends a task or a call with a body, and gives the reply.
async fn ask(sender: &Arc<dyn Communicator>, as_task: bool, body: Node) -> Reply {
    if as_task { send(sender, super::Task::new(body)).await } else { call(sender, "asked", body).await }
}

/// A sender, and a worker that answers tasks and calls in the same way.
async fn answering<F>(subject: &Subject, answer: F) -> (Arc<dyn Communicator>, Arc<dyn Communicator>)
where
    F: Fn(Node) -> Answered + Clone + Send + Sync + 'static,
{
    let (sender, worker) = subject.pair().await;
    let of_task = answer.clone();
    if subject.tasks {
        works(&worker, move |task: Incoming| std::future::ready(of_task(task.body))).await;
    }
    answers(&worker, "asked", move |call: IncomingRpc| std::future::ready(answer(call.body))).await;
    (sender, worker)
}

/// Values of every kind, as messages have them.
fn values() -> Vec<Node> {
    let texts = [
        "",
        "text",
        "yes",
        "017",
        "1:30",
        "null",
        "~",
        "two\nlines\n",
        " spaced ",
        "ünï — \u{1F600}",
        "\u{7f}\u{85}\u{2028}",
        "'\"\\#: -",
    ];
    let mut values: Vec<_> = texts.into_iter().map(Node::text).collect();
    values.extend([Node::Null, Node::Bool(true), Node::Bool(false)]);
    values.extend([0, -1, i128::from(i64::MAX), i128::from(u64::MAX), i128::MIN].map(Node::Integer));
    values.push(Node::Huge("340282366920938463463374607431768211456".into()));
    values.extend([0.0, 1.5, -1e-7, 1e16, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY].map(Node::Float));
    values.push(Node::tagged(UUID, Node::text("5ce11889-4c3c-4070-b141-6a751fc498b9")));
    let pair = Node::Sequence(vec![Node::Integer(1), Node::text("2")]);
    values.push(Node::tagged(format!("{STANDARD}python/tuple"), pair.clone()));
    values.push(Node::Mapping(vec![(Node::Integer(1), pair.clone()), (Node::text("key"), Node::Null)]));
    values.extend([pair, Node::Sequence(Vec::new()), Node::Mapping(Vec::new())]);
    values
}

/// Values of every kind arrive as they were sent, both ways.
pub async fn every_kind_of_value_arrives(subject: Subject) {
    let (sender, _worker) = answering(&subject, |body| Ok(Answer::Value(body))).await;
    for &as_task in subject.ways() {
        for node in values() {
            let reply = ask(&sender, as_task, node.clone()).await;
            assert_eq!(last(reply).await.unwrap(), node);
        }
        let all = Node::mapping([("all", Node::Sequence(values()))]);
        assert_eq!(last(ask(&sender, as_task, all.clone()).await).await.unwrap(), all);
    }
}

/// An error arrives with its text, which is all that travels.
pub async fn an_error_arrives_with_its_text(subject: Subject) {
    let (sender, _worker) = answering(&subject, |body| Err(Refusal::failed(body.as_text().unwrap()))).await;
    for &as_task in subject.ways() {
        for text in ["Great scott!", "", "two\nlines", "null", "ünï"] {
            let failed = last(ask(&sender, as_task, Node::text(text)).await).await.unwrap_err();
            assert!(matches!(&failed, CommunicatorError::Remote(remote) if remote == text), "{failed:?}");
        }
    }
}

/// A cancellation arrives as one, with its text if it has one; its task is acknowledged.
pub async fn a_cancellation_arrives(subject: Subject) {
    let cancel = |body: Node| Err(Refusal::Cancelled(body.as_text().unwrap().to_owned()));
    let (sender, _worker) = answering(&subject, cancel).await;
    for &as_task in subject.ways() {
        for (given, expected) in [("enough", Some("enough")), ("", None)] {
            let failed = last(ask(&sender, as_task, Node::text(given)).await).await.unwrap_err();
            let CommunicatorError::Cancelled { text } = &failed else { panic!("{failed:?}") };
            assert_eq!(text.as_deref(), expected);
        }
    }
}

/// A panic arrives as an error, wherever it comes; the subscriber answers the next one.
pub async fn a_panic_arrives_as_an_error(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    if subject.tasks {
        works(&worker, |task: Incoming| {
            assert!(task.body != Node::text("at once"), "it is so");
            async move {
                assert!(task.body != Node::text("when polled"), "it is so");
                let soon = async move {
                    assert!(task.body != Node::text("later"), "it is so");
                    value("sound")
                };
                later(soon)
            }
        })
        .await;
    }
    answers(&worker, "asked", |call: IncomingRpc| {
        assert!(call.body != Node::text("at once"), "it is so");
        async move {
            tokio::task::yield_now().await;
            assert!(call.body != Node::text("when polled"), "it is so");
            later(async move {
                assert!(call.body != Node::text("later"), "it is so");
                value("sound")
            })
        }
    })
    .await;
    for &as_task in subject.ways() {
        for place in ["at once", "when polled", "later"] {
            let failed = last(ask(&sender, as_task, Node::text(place)).await).await.unwrap_err();
            assert!(matches!(&failed, CommunicatorError::Remote(text) if text.contains("it is so")), "{failed:?}");
            let sound = last(ask(&sender, as_task, Node::Null).await).await.unwrap();
            assert_eq!(sound, Node::text("sound"));
        }
    }
}

/// A rejection of a call, and one that follows later, is a failure: there is no other who would take it.
pub async fn a_rejection_that_nobody_else_can_take_is_a_failure(subject: Subject) {
    let refuse = |body: Node| {
        let rejected = Err(Refusal::Rejected("not for me".to_owned()));
        if body == Node::text("later") { later(async { rejected }) } else { rejected }
    };
    let (sender, _worker) = answering(&subject, refuse).await;
    let all = [(false, "at once"), (false, "later"), (true, "later")];
    for (as_task, body) in all.into_iter().filter(|(as_task, _)| subject.ways().contains(as_task)) {
        let failed = last(ask(&sender, as_task, Node::text(body)).await).await.unwrap_err();
        assert!(matches!(&failed, CommunicatorError::Remote(text) if text == "not for me"), "{failed:?}");
    }
}

/// The answer to a call cannot be owed, at once or later: the caller hears so, and nothing is begun.
pub async fn an_owed_answer_to_a_call_is_a_failure(subject: Subject) {
    let (outbox, mut begun) = inbox();
    let owe = move |body: Node| {
        let outbox = outbox.clone();
        let owed = Ok(Answer::Owed(Box::pin(async move { outbox.put(()) })));
        if body == Node::text("later") { later(async { owed }) } else { owed }
    };
    let (sender, _worker) = answering(&subject, owe).await;
    let at_once = soon("the refusal", ask(&sender, false, Node::text("at once")).await).await;
    let below = next(ask(&sender, false, Node::text("later")).await).await;
    let later = soon("the refusal", below).await;
    for failed in [at_once, later] {
        let text = "the answer to a call cannot be owed";
        assert!(matches!(&failed, Err(CommunicatorError::Remote(told)) if told == text), "{failed:?}");
    }
    assert!(begun.rest().is_empty(), "it has begun");
}

/// Each future that is answered is one level of the reply, which is there before that future ends.
pub async fn each_answer_that_follows_is_one_level_more(subject: Subject) {
    let gate = Gate::new();
    let at = gate.clone();
    let nested = move |body: Node| {
        let (outer, inner) = (at.clone(), at.clone());
        later(async move {
            outer.pass().await;
            let inner = async move {
                inner.pass().await;
                value(body)
            };
            later(async move { later(inner) })
        })
    };
    let (sender, _worker) = answering(&subject, nested).await;
    for &as_task in subject.ways() {
        let first = ask(&sender, as_task, Node::text("deep")).await;
        let second = next(first).await;
        gate.open(1);
        let third = next(second).await;
        let fourth = next(third).await;
        gate.open(1);
        match soon("the value", fourth).await.unwrap() {
            Replied::Value(node) => assert_eq!(node, Node::text("deep")),
            Replied::Pending(reply) => panic!("one level too many: {reply:?}"),
        }
    }
}

async fn next(reply: Reply) -> Reply {
    match soon("a level", reply).await.unwrap() {
        Replied::Pending(next) => next,
        Replied::Value(node) => panic!("a level too few: {node}"),
    }
}

/// A subscriber that only ever says that its answer follows does not go on for ever.
pub async fn an_answer_that_only_ever_follows_ends(subject: Subject) {
    fn deeper() -> Answered {
        later(async { deeper() })
    }
    let (sender, _worker) = answering(&subject, |_| deeper()).await;
    for &as_task in subject.ways() {
        let failed = last(ask(&sender, as_task, Node::Null).await).await.unwrap_err();
        assert!(matches!(failed, CommunicatorError::Limit(_) | CommunicatorError::Remote(_)), "{failed:?}");
    }
}

/// As deep as is allowed is no error.
pub async fn deep_answers_arrive(subject: Subject) {
    fn deep(left: u32) -> Answered {
        if left == 0 { value("the end") } else { later(async move { deep(left - 1) }) }
    }
    let (sender, _worker) = answering(&subject, |_| deep(limits::REPLY_LEVELS / 2)).await;
    for &as_task in subject.ways() {
        let mut reply = ask(&sender, as_task, Node::Null).await;
        for _ in 0..limits::REPLY_LEVELS / 2 {
            reply = next(reply).await;
        }
        assert_eq!(last(reply).await.unwrap(), Node::text("the end"));
    }
}

/// A reply that nobody awaits harms nobody; a subscriber goes on.
pub async fn replies_that_nobody_awaits_harm_nobody(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let done = Arc::new(Mutex::new(0_u32));
    let gate = Gate::new();
    let (counted, at) = (Arc::clone(&done), gate.clone());
    let counts = move || {
        let (counted, at) = (Arc::clone(&counted), at.clone());
        async move {
            later(async move {
                at.pass().await;
                *counted.lock().await += 1;
                value("unheard")
            })
        }
    };
    if subject.tasks {
        works(&worker, move |_: Incoming| counts()).await;
    } else {
        answers(&worker, "asked", move |_: IncomingRpc| counts()).await;
    }
    for _ in 0..20 {
        drop(ask(&sender, subject.tasks, Node::text("unheard")).await);
        let polled = ask(&sender, subject.tasks, Node::text("unheard")).await;
        drop(next(polled).await);
    }
    gate.open(40);
    let counted = async {
        while *done.lock().await < 40 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of all", counted).await;
}
