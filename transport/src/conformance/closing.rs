//! The end of a transport: sentence 9, and what outlives it.

use super::*;

/// Who receives, and who waits for room.
pub async fn a_close_wakes_who_waits(subject: Subject) {
    let transport = subject.connect().await;
    let capabilities = transport.capabilities();
    let mut waiting = Vec::new();
    if capabilities.pipelines {
        let mut receiver = inlet(&transport, &topic("waits.for..what.comes", Mode::Pipeline)).await;
        waiting.push(tokio::spawn(async move { receiver.recv().await.map(drop) }));
        let topic = narrow(2);
        let (receiver, mut sender) = (inlet(&transport, &topic).await, outlet(&transport, &topic).await);
        let full = tokio::time::timeout(BRIEF, async {
            for number in 1.. {
                sender.send(item("one", number)).await.unwrap();
            }
        });
        assert!(full.await.is_err(), "until there is no room");
        waiting.push(tokio::spawn(async move {
            let _receiver = receiver;
            // Where the capacity is not exact there may be room again, for a while.
            for number in u64::MAX / 2.. {
                sender.send(item("one", number)).await?;
            }
            Ok(())
        }));
    }
    if capabilities.mailboxes {
        let mut owner = soon("a mailbox", transport.mailbox("me")).await.unwrap();
        waiting.push(tokio::spawn(async move { owner.recv().await.map(drop) }));
    }
    tokio::task::yield_now().await;
    // What could not be sent is an error or not, as the transport knows; but it ends.
    let _ = soon("the close", transport.close()).await;
    for waiting in waiting {
        refused(soon("the end of who waits", waiting).await.unwrap(), TransportErrorKind::Closed);
    }
}

/// Nothing can be asked of it any more, and a second close does nothing.
pub async fn what_is_closed_refuses(subject: Subject) {
    let transport = subject.connect().await;
    let capabilities = transport.capabilities();
    soon("the close", transport.close()).await.unwrap();
    if capabilities.pipelines {
        refused(soon("a refusal", transport.outlet(&pipeline())).await.map(drop), TransportErrorKind::Closed);
        refused(soon("a refusal", transport.inlet(&pipeline())).await.map(drop), TransportErrorKind::Closed);
    }
    if capabilities.mailboxes {
        refused(soon("a refusal", transport.mailbox("me")).await.map(drop), TransportErrorKind::Closed);
        refused(soon("a refusal", transport.post("me", item("one", 1))).await, TransportErrorKind::Closed);
    }
    soon("the second close", transport.close()).await.unwrap();
}

/// What was sent to a lasting topic of a durable transport is there when nobody else is any more.
pub async fn what_lasts_outlives_its_transports(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    if !from.capabilities().durable {
        return;
    }
    let topic = pipeline().lasting();
    let (mut sender, mut receiver) = (outlet(&from, &topic).await, inlet(&to, &topic).await);
    send_all(&mut sender, "one", 1..=20).await;
    for expected in 1..=5 {
        assert_eq!(number(&mut receiver).await, Some(expected));
    }
    soon("a close", receiver.close()).await.unwrap();
    drop((sender, receiver));
    for transport in [from, to] {
        soon("the close", transport.close()).await.unwrap();
    }
    let later = subject.connect().await;
    let (mut sender, mut receiver) = (outlet(&later, &topic).await, inlet(&later, &topic).await);
    send_all(&mut sender, "one", 21..=25).await;
    close(&mut sender).await;
    assert_eq!(numbers(&rest(&mut receiver).await), (6..=25).collect::<Vec<_>>());
}
