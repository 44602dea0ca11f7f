//! Sentence 4: broadcasts and their filters.

use std::sync::Arc;

use super::{BroadcastFilter, BroadcastSubscriber, Outbox, Subject, hears, inbox, tell};
use crate::message::{Broadcast, Node, UUID};
use crate::process::ProcessId;

/// Tells of each broadcast.
fn notes(outbox: &Outbox<Broadcast>) -> impl BroadcastSubscriber + use<> {
    let outbox = outbox.clone();
    move |broadcast: Arc<Broadcast>| {
        outbox.put((*broadcast).clone());
        async {}
    }
}

/// Tells of each broadcast that it passes.
fn notes_as(name: &'static str, outbox: &Outbox<(&'static str, String)>) -> impl BroadcastSubscriber + use<> {
    let outbox = outbox.clone();
    move |broadcast: Arc<Broadcast>| {
        outbox.put((name, broadcast.body.as_text().unwrap_or_default().to_owned()));
        async {}
    }
}

fn pid() -> ProcessId {
    "5ce11889-4c3c-4070-b141-6a751fc498b9".into()
}

/// A broadcast goes to all, the sender's own subscribers among them, as it was sent.
pub async fn a_broadcast_reaches_everybody_as_it_was_sent(subject: Subject) {
    let (first, second) = subject.pair().await;
    let third = subject.connect().await;
    let (outbox, mut heard) = inbox();
    for communicator in [&first, &first, &second, &third] {
        hears(communicator, BroadcastFilter::all(), notes(&outbox)).await;
    }
    let body = Node::mapping([("intent", Node::text("pause")), ("message", Node::Null)]);
    let full = Broadcast::new(body).subject("state_changed.created.running").sender(&pid()).correlation_id("some id");
    for broadcast in [Broadcast::default(), full, Broadcast::new(Node::text("text")).sender(7_i64)] {
        tell(&first, broadcast.clone()).await;
        for _ in 0..4 {
            // Whoever carries it may have given it an id.
            assert_eq!(Broadcast { id: None, ..heard.next().await }, broadcast);
        }
    }
    assert_eq!(heard.rest(), []);
}

/// One that is sent again under its id is heard once, whoever sends it; those without an id are all heard.
pub async fn a_broadcast_that_comes_again_is_heard_once(subject: Subject) {
    let (first, second) = subject.pair().await;
    let third = subject.connect().await;
    let (outbox, mut heard) = inbox();
    hears(&third, BroadcastFilter::all(), notes(&outbox)).await;
    for (sender, body, id) in [
        (&first, "one", Some("a")),
        (&first, "again", Some("a")),
        (&first, "two", Some("b")),
        (&first, "other", None),
        (&first, "other", None),
    ] {
        let broadcast = Broadcast::new(Node::text(body));
        tell(sender, Broadcast { id: id.map(str::to_owned), ..broadcast }).await;
    }
    for (body, id) in [("one", Some("a")), ("two", Some("b")), ("other", None), ("other", None)] {
        let broadcast = heard.next().await;
        assert_eq!(broadcast.body, Node::text(body));
        assert!(id.is_none() || broadcast.id.as_deref() == id, "{broadcast:?}");
    }
    // Of another sender, which took it over.
    tell(&second, Broadcast::new(Node::text("again")).id("b")).await;
    tell(&second, Broadcast::new(Node::text("three")).id("c")).await;
    assert_eq!(heard.next().await.body, Node::text("three"));
}

/// Those that are handed over are heard in their order, and confirmed.
pub async fn broadcasts_that_are_handed_over_are_confirmed(subject: Subject) {
    let (first, second) = subject.pair().await;
    let (outbox, mut heard) = inbox();
    hears(&second, BroadcastFilter::all(), notes(&outbox)).await;
    let mut confirmed = Vec::new();
    for index in 0..100_i64 {
        let broadcast = Broadcast::new(index).id(index.to_string());
        confirmed.push(first.broadcast_hand_over(broadcast).await.unwrap());
    }
    for confirmed in confirmed {
        confirmed.await.unwrap();
    }
    for index in 0..100_i64 {
        assert_eq!(heard.next().await.body, Node::from(index));
    }
}

/// Nobody needs to listen.
pub async fn a_broadcast_that_nobody_hears_is_no_error(subject: Subject) {
    let (first, second) = subject.pair().await;
    tell(&first, Broadcast::new(Node::text("to nobody")).subject("alone")).await;
    let (outbox, mut heard) = inbox();
    hears(&second, BroadcastFilter::all(), notes(&outbox)).await;
    tell(&first, Broadcast::new(Node::text("to somebody"))).await;
    while heard.next().await.body != Node::text("to somebody") {}
}

/// A subscriber hears broadcasts in the order in which they were sent, one after the other.
pub async fn broadcasts_are_heard_in_order(subject: Subject) {
    let (first, second) = subject.pair().await;
    let (outbox, mut heard) = inbox();
    hears(&second, BroadcastFilter::all(), move |broadcast: Arc<Broadcast>| {
        let outbox = outbox.clone();
        async move {
            outbox.put((broadcast.body.clone(), "begun"));
            tokio::task::yield_now().await;
            outbox.put((broadcast.body.clone(), "done"));
        }
    })
    .await;
    for index in 0..200_i64 {
        tell(&first, Broadcast::new(index)).await;
    }
    for index in 0..200_i64 {
        assert_eq!(heard.next().await, (Node::from(index), "begun"));
        assert_eq!(heard.next().await, (Node::from(index), "done"));
    }
}

/// A subscriber that panics is given the next one all the same, and harms no other.
pub async fn a_panic_in_a_broadcast_subscriber_harms_nobody(subject: Subject) {
    let (first, second) = subject.pair().await;
    let (outbox, mut heard) = inbox();
    let faulty = outbox.clone();
    hears(&second, BroadcastFilter::all(), move |broadcast: Arc<Broadcast>| {
        faulty.put(("faulty", broadcast.body.to_string()));
        assert!(broadcast.subject.as_deref() != Some("at once"), "as it should");
        async move { assert!(broadcast.subject.as_deref() != Some("later"), "as it should") }
    })
    .await;
    let sound = outbox.clone();
    hears(&second, BroadcastFilter::all(), move |broadcast: Arc<Broadcast>| {
        sound.put(("sound", broadcast.body.to_string()));
        async {}
    })
    .await;
    let panics = BroadcastFilter::all().subject_if(|_| panic!("as it should"));
    hears(&second, panics, |_: Arc<Broadcast>| async { panic!("it does not pass") }).await;
    for (index, subject) in (0..).zip(["at once", "later", "harmless"]) {
        let index: i64 = index;
        tell(&first, Broadcast::new(index).subject(subject)).await;
        let mut both = [heard.next().await, heard.next().await];
        both.sort_unstable();
        assert_eq!(both, [("faulty", index.to_string()), ("sound", index.to_string())]);
    }
}

/// Filters look at subject and sender: those of one kind are alternatives, both kinds are needed, and what a broadcast
/// does not have passes (S126).
pub async fn filters_choose_by_subject_and_sender(subject: Subject) {
    let (first, second) = subject.pair().await;
    let (outbox, mut heard) = inbox();
    let all = BroadcastFilter::all;
    let filters = [
        ("all", all()),
        ("exact", all().subject("state_changed.running.killed")),
        ("pattern", all().subject("state_changed.*.killed")),
        ("either", all().subject("state_changed.*.finished").subject("state_changed.*.killed")),
        ("test", all().subject_if(|subject| subject.len() == 4)),
        ("pid", all().sender(&pid())),
        ("like", all().sender_like("5ce11889-*")),
        ("number", all().sender(7_i64)),
        ("both", all().subject("kill").sender(&pid())),
        ("if", all().sender_if(|sender| matches!(sender, Node::Integer(_)))),
    ];
    let count = filters.len();
    for (name, filter) in filters {
        hears(&second, filter, notes_as(name, &outbox)).await;
    }
    let killed = "state_changed.running.killed";
    let untagged = Node::text(pid().to_string());
    let broadcasts: [(&str, Broadcast, &[&str]); 6] = [
        ("killed", with(Some(killed), Node::from(&pid())), &["all", "exact", "pattern", "either", "pid", "like"]),
        ("longer", with(Some(&format!("{killed}.twice")), untagged), &["all", "pid", "like"]),
        (
            "kill",
            with(Some("kill"), Node::tagged(UUID, Node::text(pid().to_string()))),
            &["all", "test", "pid", "like", "both"],
        ),
        ("no subject", with(None, Node::Integer(7)), &["all", "exact", "pattern", "either", "test", "number", "if"]),
        ("no sender", with(Some("kill"), Node::Null), &["all", "test", "pid", "like", "number", "both", "if"]),
        (
            "neither",
            with(None, Node::Null),
            &["all", "exact", "pattern", "either", "test", "pid", "like", "number", "both", "if"],
        ),
    ];
    for (body, broadcast, expected) in broadcasts {
        tell(&first, Broadcast { body: Node::text(body), ..broadcast }).await;
        let mut passed = Vec::new();
        for _ in expected {
            let (name, heard) = heard.next().await;
            assert_eq!(heard, body);
            passed.push(name);
        }
        passed.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(passed, expected, "{body}");
    }
    // Whatever passed more would have come before this, which passes everywhere.
    tell(&first, Broadcast::new(Node::text("end"))).await;
    for _ in 0..count {
        assert_eq!(heard.next().await.1, "end");
    }
}

fn with(subject: Option<&str>, sender: Node) -> Broadcast {
    Broadcast { subject: subject.map(str::to_owned), sender, ..Broadcast::default() }
}
