//! Mailboxes: sentence 8.

use super::*;

/// Two transports with mailboxes, or the refusal of them.
async fn pair(subject: &Subject) -> Option<(Arc<dyn Transport>, Arc<dyn Transport>)> {
    let (one, other) = (subject.connect().await, subject.connect().await);
    if one.capabilities().mailboxes {
        return Some((one, other));
    }
    refused(one.mailbox("me").await.map(drop), TransportErrorKind::Unsupported);
    refused(one.post("me", item("one", 1)).await, TransportErrorKind::Unsupported);
    None
}

/// Until it gives it up.
pub async fn an_address_has_one_owner(subject: Subject) {
    let Some((one, other)) = pair(&subject).await else { return };
    let mut owner = soon("a mailbox", one.mailbox("worker:0:1")).await.unwrap();
    refused(soon("a refusal", other.mailbox("worker:0:1")).await.map(drop), TransportErrorKind::Conflict);
    refused(soon("a refusal", one.mailbox("worker:0:1")).await.map(drop), TransportErrorKind::Conflict);
    soon("a close", owner.close()).await.unwrap();
    drop(owner);
    let _next = soon("a mailbox", one.mailbox("worker:0:1")).await.unwrap();
    for name in ["", "a\0b", &"x".repeat(crate::limits::TOPIC_BYTES + 1)] {
        refused(soon("a refusal", one.mailbox(name)).await.map(drop), TransportErrorKind::Invalid);
    }
}

/// From wherever it is posted, with all its parts.
pub async fn what_is_posted_comes_in_order(subject: Subject) {
    let Some((one, other)) = pair(&subject).await else { return };
    let mut owner = soon("a mailbox", one.mailbox("node:0")).await.unwrap();
    let call = |number| Envelope {
        kind: Kind::Call,
        subject: "method".into(),
        correlation: number,
        deadline: Some(Duration::from_secs(3)),
        headers: vec![("a".to_owned(), "b".to_owned())],
        ..item("someone", number)
    };
    for number in 1..=200 {
        soon("a post", other.post("node:0", call(number))).await.unwrap();
    }
    soon("a post", one.post("node:0", call(201))).await.unwrap();
    let mut came = Vec::new();
    for _ in 1..=201 {
        came.push(take(&mut owner).await.unwrap());
    }
    came.sort_by_key(|envelope| envelope.number == 201);
    assert_eq!(came, (1..=201).map(call).collect::<Vec<_>>());
}

/// Who posts to nobody hears of it.
pub async fn nobody_is_told(subject: Subject) {
    let Some((one, other)) = pair(&subject).await else { return };
    refused(soon("a refusal", other.post("nobody", item("one", 1))).await, TransportErrorKind::NotFound);
    let mut owner = soon("a mailbox", one.mailbox("node:0")).await.unwrap();
    soon("a post", other.post("node:0", item("one", 1))).await.unwrap();
    assert_eq!(number(&mut owner).await, Some(1));
    soon("a close", owner.close()).await.unwrap();
    drop(owner);
    soon("the owner's going to be seen", async {
        while let Ok(()) = other.post("node:0", item("one", 2)).await {
            tokio::time::sleep(BRIEF / 10).await;
        }
    })
    .await;
}
