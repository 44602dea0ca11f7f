//! Topics whose receivers compete.

use std::time::Duration;

use super::*;
use crate::limits;

/// Sentence 3.
pub async fn items_come_in_the_order_of_their_sender(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &pipeline()).await, inlet(&to, &pipeline()).await);
    let send = tokio::spawn(async move {
        send_all(&mut sender, "one", 1..=2_000).await;
        close(&mut sender).await;
    });
    assert_eq!(numbers(&rest(&mut receiver).await), (1..=2_000).collect::<Vec<_>>());
    soon("the sender's end", send).await.unwrap();
}

/// Sentence 1: nothing of it is lost on the way.
pub async fn every_part_of_an_envelope_arrives(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &pipeline()).await, inlet(&to, &pipeline()).await);
    let full = Envelope {
        number: u64::MAX,
        subject: "über.alles".into(),
        correlation: 7,
        deadline: Some(Duration::from_millis(1_500)),
        headers: vec![("traceparent".to_owned(), "00-ä".to_owned()), (String::new(), String::new())],
        ..Envelope::new(Kind::Data, "a sender".into(), Content::Pickle, Bytes::from_static(b"\0\xff\r\n"))
    };
    let empty = Envelope::new(Kind::Data, "".into(), Content::Bytes, Bytes::new());
    for envelope in [&full, &empty] {
        send(&mut sender, envelope.clone()).await;
        assert_eq!(take(&mut receiver).await.as_ref(), Some(envelope));
    }
}

/// Sentence 1.
pub async fn each_item_is_taken_by_one_receiver(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    if !to.capabilities().competing {
        return;
    }
    let mut sender = outlet(&from, &pipeline()).await;
    let mut receivers = Vec::new();
    for index in 0..3 {
        let mut receiver = inlet(if index == 0 { &from } else { &to }, &pipeline()).await;
        receivers.push(tokio::spawn(async move { rest(&mut receiver).await }));
    }
    send_all(&mut sender, "one", 1..=300).await;
    close(&mut sender).await;
    let mut all = Vec::new();
    for receiver in receivers {
        let taken = numbers(&soon("a receiver's end", receiver).await.unwrap());
        assert!(taken.is_sorted(), "{taken:?}");
        all.extend(taken);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=300).collect::<Vec<_>>());
}

/// Sentence 1 (C31 cured).
pub async fn what_is_sent_early_waits(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let mut sender = outlet(&from, &pipeline()).await;
    send_all(&mut sender, "one", 1..=5).await;
    let mut receiver = inlet(&to, &pipeline()).await;
    for expected in 1..=5 {
        assert_eq!(number(&mut receiver).await, Some(expected));
    }
}

/// How many are sent until there is no room.
async fn filled(sender: &mut Box<dyn Outlet>) -> u64 {
    let mut sent = 0;
    while let Ok(outcome) = tokio::time::timeout(BRIEF, sender.send(item("one", sent + 1))).await {
        outcome.unwrap();
        sent += 1;
        assert!(sent < 200_000, "there is always room");
    }
    sent
}

/// Sentence 4.
pub async fn a_sender_waits_when_it_is_full(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let topic = narrow(4);
    // Someone is there who takes nothing.
    let mut receiver = inlet(&to, &topic).await;
    let mut sender = outlet(&from, &topic).await;
    let sent = filled(&mut sender).await;
    if from.capabilities().exact {
        assert_eq!(sent, 4);
    }
    let closing = tokio::spawn(async move { close(&mut sender).await });
    assert_eq!(numbers(&rest(&mut receiver).await), (1..=sent).collect::<Vec<_>>(), "none was dropped");
    soon("the sender's close", closing).await.unwrap();
}

/// Sentence 4.
pub async fn a_sender_that_waits_goes_on_once_there_is_room(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let topic = narrow(4);
    let mut receiver = inlet(&to, &topic).await;
    let mut sender = outlet(&from, &topic).await;
    let sent = filled(&mut sender).await;
    let rest_of_it = tokio::spawn(async move {
        send_all(&mut sender, "one", sent + 1..=sent + 50).await;
        sender
    });
    for expected in 1..=sent + 50 {
        assert_eq!(number(&mut receiver).await, Some(expected));
    }
    soon("the sender", rest_of_it).await.unwrap();
}

/// Sentences 1 and 3: each sender's order is kept.
pub async fn several_senders_are_merged(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let mut receiver = inlet(&to, &pipeline()).await;
    let mut senders = Vec::new();
    for index in 0..5 {
        let sender = outlet(if index == 0 { &to } else { &from }, &pipeline()).await;
        senders.push((format!("sender {index}"), sender));
    }
    for (name, mut sender) in senders {
        tokio::spawn(async move {
            send_all(&mut sender, &name, 1..=100).await;
            close(&mut sender).await;
        });
    }
    let all = rest(&mut receiver).await;
    assert_eq!(all.len(), 500);
    for index in 0..5 {
        assert_eq!(of(&all, &format!("sender {index}")), (1..=100).collect::<Vec<_>>());
    }
}

/// Bodies up to a megabyte, which every transport of the field takes.
pub async fn large_bodies_arrive(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &pipeline()).await, inlet(&to, &pipeline()).await);
    let body: Vec<u8> = (0..1_u32 << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let large = Envelope { body: body.into(), ..item("one", 1) };
    send(&mut sender, large.clone()).await;
    send(&mut sender, item("one", 2)).await;
    assert!(take(&mut receiver).await == Some(large), "as it was");
    assert_eq!(number(&mut receiver).await, Some(2));
}

/// A topic that cannot be is not made, an envelope that is too large is refused, and what is sent after it arrives.
pub async fn names_that_cannot_be_are_refused(subject: Subject) {
    for name in ["", "a\nb", &"x".repeat(limits::TOPIC_BYTES + 1)] {
        refused(Topic::new(name, Mode::Pipeline), TransportErrorKind::Invalid);
    }
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    // As long as can be, with what others might take for more than a letter.
    let topic = topic(&format!("#*/%.. '\"{}", "ä".repeat(limits::TOPIC_BYTES / 2 - 5)), Mode::Pipeline);
    let (mut sender, mut receiver) = (outlet(&from, &topic).await, inlet(&to, &topic).await);
    if from.local().is_none() {
        let too_large = Envelope { subject: "x".repeat(limits::NAME_BYTES + 1).into(), ..item("one", 1) };
        refused(soon("a refusal", sender.send(too_large)).await, TransportErrorKind::Invalid);
    }
    send(&mut sender, item("one", 1)).await;
    assert_eq!(number(&mut receiver).await, Some(1));
}

/// Two who disagree about a topic are told so.
pub async fn a_topic_is_open_in_one_way(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let name = pipeline().name().to_owned();
    let _sender = outlet(&from, &pipeline()).await;
    if from.capabilities().pubsub {
        let otherwise = topic(&name, Mode::PubSub);
        refused(soon("a refusal", to.inlet(&otherwise)).await.map(drop), TransportErrorKind::Conflict);
        refused(soon("a refusal", to.outlet(&otherwise)).await.map(drop), TransportErrorKind::Conflict);
    }
    if from.capabilities().exact {
        refused(soon("a refusal", to.inlet(&narrow(4))).await.map(drop), TransportErrorKind::Conflict);
    }
}

/// Topics are apart, also where one's name begins with another's (C41 cured).
pub async fn topics_do_not_leak(subject: Subject) {
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let Some((from, to)) = subject.pair(mode).await else { continue };
        let names = ["leak.out", "leak.out2", "leak.ou"].map(|name| topic(&format!("{name}{mode:?}"), mode));
        let mut ends = Vec::new();
        for topic in &names {
            ends.push((inlet(&to, topic).await, outlet(&from, topic).await));
        }
        for (index, (_, sender)) in ends.iter_mut().enumerate() {
            send_all(sender, &format!("sender {index}"), 1..=20).await;
            close(sender).await;
        }
        for (index, (receiver, _)) in ends.iter_mut().enumerate() {
            let all = rest(receiver).await;
            assert_eq!((all.len(), of(&all, &format!("sender {index}")).len()), (20, 20), "{mode:?}");
        }
    }
}
