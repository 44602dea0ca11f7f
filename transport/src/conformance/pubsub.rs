//! Topics whose subscribers each get everything.

use super::*;

fn news() -> Topic {
    topic("press.news", Mode::PubSub)
}

/// Sentence 2, with one subscriber and with ten.
pub async fn every_subscriber_gets_everything(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::PubSub).await else { return };
    for (count, name) in [(1, "to.one"), (10, "to.ten")] {
        let topic = topic(name, Mode::PubSub);
        let mut subscribers = Vec::new();
        for index in 0..count {
            subscribers.push(inlet(if index % 2 == 0 { &to } else { &from }, &topic).await);
        }
        let mut publisher = outlet(&from, &topic).await;
        send_all(&mut publisher, "one", 1..=100).await;
        close(&mut publisher).await;
        for subscriber in &mut subscribers {
            assert_eq!(numbers(&rest(subscriber).await), (1..=100).collect::<Vec<_>>(), "of {count}");
        }
    }
}

/// Sentences 2 and 3: each publisher's order, at each subscriber.
pub async fn several_publishers_reach_every_subscriber(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::PubSub).await else { return };
    let mut subscribers = Vec::new();
    for _ in 0..4 {
        subscribers.push(inlet(&to, &news()).await);
    }
    let mut publishers = Vec::new();
    for index in 0..10 {
        publishers.push((format!("publisher {index}"), outlet(if index == 0 { &to } else { &from }, &news()).await));
    }
    for (name, mut publisher) in publishers {
        tokio::spawn(async move {
            send_all(&mut publisher, &name, 1..=50).await;
            close(&mut publisher).await;
        });
    }
    let subscribers =
        subscribers.into_iter().map(|mut subscriber| tokio::spawn(async move { rest(&mut subscriber).await }));
    for subscriber in subscribers.collect::<Vec<_>>() {
        let all = soon("a subscriber's end", subscriber).await.unwrap();
        assert_eq!(all.len(), 500);
        for index in 0..10 {
            assert_eq!(of(&all, &format!("publisher {index}")), (1..=50).collect::<Vec<_>>());
        }
    }
}

/// Sentence 2: and no other (C20).
pub async fn subscribers_get_what_comes_after_they_came(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::PubSub).await else { return };
    let mut publisher = outlet(&from, &news()).await;
    send_all(&mut publisher, "one", 1..=3).await;
    let mut first = inlet(&to, &news()).await;
    send_all(&mut publisher, "one", 4..=6).await;
    let mut second = inlet(&from, &news()).await;
    send_all(&mut publisher, "one", 7..=9).await;
    close(&mut publisher).await;
    assert_eq!(numbers(&rest(&mut first).await), (4..=9).collect::<Vec<_>>());
    assert_eq!(numbers(&rest(&mut second).await), (7..=9).collect::<Vec<_>>());
}

/// Sentence 4: its publisher waits for it.
pub async fn a_slow_subscriber_loses_nothing(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::PubSub).await else { return };
    let topic = news().with_capacity(NonZeroUsize::new(8).unwrap()).unwrap();
    let (mut fast, mut slow) = (inlet(&to, &topic).await, inlet(&to, &topic).await);
    let mut publisher = outlet(&from, &topic).await;
    let publishing = tokio::spawn(async move {
        // Enough to fill whatever is on the way.
        let body = Bytes::from(vec![b'x'; 64 << 10]);
        for number in 1..=400 {
            send(&mut publisher, Envelope { body: body.clone(), ..item("one", number) }).await;
        }
        close(&mut publisher).await;
    });
    let fast = tokio::spawn(async move { numbers(&rest(&mut fast).await) });
    if from.capabilities().exact {
        never("the last of many", async {
            while !publishing.is_finished() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(numbers(&rest(&mut slow).await), (1..=400).collect::<Vec<_>>());
    assert_eq!(soon("the fast one", fast).await.unwrap(), (1..=400).collect::<Vec<_>>());
    soon("the publisher", publishing).await.unwrap();
}

/// Sentence 4: nobody waits for one who is gone.
pub async fn a_subscriber_that_leaves_holds_up_nobody(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::PubSub).await else { return };
    let topic = news().with_capacity(NonZeroUsize::new(8).unwrap()).unwrap();
    let (mut stays, leaves) = (inlet(&to, &topic).await, inlet(&to, &topic).await);
    let mut publisher = outlet(&from, &topic).await;
    send_all(&mut publisher, "one", 1..=8).await;
    let publishing = tokio::spawn(async move {
        for number in 9..=2_000 {
            send(&mut publisher, item("one", number)).await;
        }
        close(&mut publisher).await;
    });
    for expected in 1..=8 {
        assert_eq!(number(&mut stays).await, Some(expected));
    }
    drop(leaves);
    assert_eq!(numbers(&rest(&mut stays).await), (9..=2_000).collect::<Vec<_>>());
    soon("the publisher", publishing).await.unwrap();
}
