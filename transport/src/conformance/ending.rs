//! The end of a topic: sentence 5.

use super::*;

/// What was sent before comes first (C10).
pub async fn the_end_comes_after_everything(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &pipeline()).await, inlet(&to, &pipeline()).await);
    send_all(&mut sender, "one", 1..=100).await;
    close(&mut sender).await;
    assert_eq!(numbers(&rest(&mut receiver).await), (1..=100).collect::<Vec<_>>());
}

/// All who wait are woken (C19 cured).
pub async fn every_receiver_is_told_the_end(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    if !to.capabilities().competing {
        return;
    }
    let mut sender = outlet(&from, &pipeline()).await;
    let mut receivers = Vec::new();
    for index in 0..4 {
        let mut receiver = inlet(if index == 0 { &from } else { &to }, &pipeline()).await;
        receivers.push(tokio::spawn(async move { rest(&mut receiver).await.len() }));
    }
    send(&mut sender, item("one", 1)).await;
    close(&mut sender).await;
    let mut all = 0;
    for receiver in receivers {
        all += soon("a receiver's end", receiver).await.unwrap();
    }
    assert_eq!(all, 1);
}

/// Also those of pubsub, and one that comes when it is over is not left to wait for ever while others are there (C22).
pub async fn every_subscriber_is_told_the_end(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::PubSub).await else { return };
    let news = topic("press.news", Mode::PubSub);
    let mut publisher = outlet(&from, &news).await;
    let mut subscribers = Vec::new();
    for _ in 0..4 {
        let mut subscriber = inlet(&to, &news).await;
        subscribers.push(tokio::spawn(async move { rest(&mut subscriber).await.len() }));
    }
    send(&mut publisher, item("one", 1)).await;
    close(&mut publisher).await;
    for subscriber in subscribers {
        assert_eq!(soon("a subscriber's end", subscriber).await.unwrap(), 1);
    }
}

/// One sender's close ends nothing for the others (C22, C45 cured).
pub async fn the_end_waits_for_the_last_sender(subject: Subject) {
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let Some((from, to)) = subject.pair(mode).await else { continue };
        let topic = topic(&format!("last.{mode:?}"), mode);
        let mut receiver = inlet(&to, &topic).await;
        let (mut one, mut other) = (outlet(&from, &topic).await, outlet(&to, &topic).await);
        send_all(&mut one, "one", [1]).await;
        close(&mut one).await;
        drop(one);
        assert_eq!(number(&mut receiver).await, Some(1));
        never("the end", receiver.recv()).await;
        send_all(&mut other, "other", [2]).await;
        close(&mut other).await;
        assert_eq!(numbers(&rest(&mut receiver).await), [2]);
    }
}

/// It is told as often as it is asked for.
pub async fn the_end_stays(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &pipeline()).await, inlet(&to, &pipeline()).await);
    close(&mut sender).await;
    for _ in 0..3 {
        assert!(next(&mut receiver).await.is_none());
    }
}

/// After its close a sender sends nothing, and a second close does nothing (C8, C9).
pub async fn a_closed_sender_sends_nothing(subject: Subject) {
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let Some((from, to)) = subject.pair(mode).await else { continue };
        let topic = topic(&format!("closed.{mode:?}"), mode);
        let (mut receiver, mut sender) = (inlet(&to, &topic).await, outlet(&from, &topic).await);
        send(&mut sender, item("one", 1)).await;
        close(&mut sender).await;
        refused(soon("a refusal", sender.send(item("one", 2))).await, TransportErrorKind::Closed);
        refused(sender.start_send(item("one", 3)), TransportErrorKind::Closed);
        close(&mut sender).await;
        assert_eq!(numbers(&rest(&mut receiver).await), [1]);
    }
}

/// A sender that is dropped has not closed: another goes on, and ends it.
pub async fn a_sender_that_is_gone_ends_nothing(subject: Subject) {
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let Some((from, to)) = subject.pair(mode).await else { continue };
        let topic = topic(&format!("gone.{mode:?}"), mode);
        let (mut receiver, mut sender) = (inlet(&to, &topic).await, outlet(&from, &topic).await);
        send_all(&mut sender, "one", [1]).await;
        drop(sender);
        assert_eq!(number(&mut receiver).await, Some(1));
        never("the end", receiver.recv()).await;
        let mut other = outlet(&from, &topic).await;
        send_all(&mut other, "one", [2]).await;
        close(&mut other).await;
        assert_eq!(numbers(&rest(&mut receiver).await), [2]);
    }
}

/// The end is no value (C13, C14 cured).
pub async fn what_looks_like_an_end_is_an_item(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &pipeline()).await, inlet(&to, &pipeline()).await);
    let end = Envelope::new(Kind::End, "one".into(), Content::Bytes, Bytes::new());
    let bodies = [end.encode().unwrap(), Bytes::from_static(b"__PLUGBOARD_CHAN_CLOSE_MSG__"), Bytes::new()];
    for (number, body) in (1..).zip(bodies.clone()) {
        send(&mut sender, Envelope { body, ..item("one", number) }).await;
    }
    close(&mut sender).await;
    let all: Vec<_> = rest(&mut receiver).await.into_iter().map(|envelope| envelope.body).collect();
    assert_eq!(all, bodies);
}

/// Also who comes when all senders have closed.
pub async fn a_late_receiver_gets_everything_and_the_end(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let mut sender = outlet(&from, &pipeline()).await;
    send_all(&mut sender, "one", 1..=5).await;
    let mut receiver = inlet(&to, &pipeline()).await;
    close(&mut sender).await;
    drop(sender);
    assert_eq!(number(&mut receiver).await, Some(1));
    assert_eq!(numbers(&rest(&mut receiver).await), [2, 3, 4, 5]);
}

/// Nothing can be sent to those who were told that nothing comes; when they have gone, it begins anew.
pub async fn what_has_ended_takes_nothing(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &pipeline()).await, inlet(&to, &pipeline()).await);
    close(&mut sender).await;
    assert!(next(&mut receiver).await.is_none());
    if from.capabilities().exact {
        refused(soon("a refusal", from.outlet(&pipeline())).await.map(drop), TransportErrorKind::Closed);
    }
    soon("a close", receiver.close()).await.unwrap();
    drop((sender, receiver));
    // A broker may need a moment to see that nobody is there.
    let (mut sender, mut receiver) = soon("a new beginning", async {
        loop {
            let mut receiver = inlet(&to, &pipeline()).await;
            if let Ok(mut sender) = from.outlet(&pipeline()).await {
                send_all(&mut sender, "one", [1]).await;
                if number(&mut receiver).await == Some(1) {
                    return (sender, receiver);
                }
            }
            drop(receiver);
            tokio::time::sleep(BRIEF / 10).await;
        }
    })
    .await;
    close(&mut sender).await;
    assert!(next(&mut receiver).await.is_none());
}
