//! Receivers that are alone: sentence 10.

use super::*;

fn exclusive() -> Topic {
    pipeline().exclusive()
}

/// An inlet, as soon as nobody else receives.
async fn alone(transport: &Arc<dyn Transport>) -> Box<dyn Inlet> {
    let opened = async {
        loop {
            match transport.inlet(&exclusive()).await {
                Err(error) if error.kind() == TransportErrorKind::Conflict => {
                    assert!(error.is_retryable(), "{error}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                opened => return opened.unwrap(),
            }
        }
    };
    soon("a free topic", opened).await
}

/// Whoever came first, and whichever of the two wants to be alone.
pub async fn an_exclusive_receiver_is_alone(subject: Subject) {
    let Some((one, other)) = subject.pair(Mode::Pipeline).await else { return };
    let mut sender = outlet(&one, &pipeline()).await;
    let mut first = alone(&one).await;
    refused(soon("a refusal", other.inlet(&exclusive())).await, TransportErrorKind::Conflict);
    refused(soon("a refusal", other.inlet(&pipeline())).await, TransportErrorKind::Conflict);
    send_all(&mut sender, "one", 1..=3).await;
    for expected in 1..=3 {
        assert_eq!(number(&mut first).await, Some(expected), "who was refused takes nothing");
    }
    soon("a close", first.close()).await.unwrap();
    drop(first);
    let mut second = alone(&other).await;
    send_all(&mut sender, "one", [4]).await;
    assert_eq!(number(&mut second).await, Some(4));
    soon("a close", second.close()).await.unwrap();
    drop(second);
    // Nobody wants to be alone, and then somebody does.
    let mut third = inlet(&one, &pipeline()).await;
    refused(soon("a refusal", other.inlet(&exclusive())).await, TransportErrorKind::Conflict);
    soon("a close", third.close()).await.unwrap();
    drop(third);
    let mut last = alone(&other).await;
    close(&mut sender).await;
    assert!(rest(&mut last).await.is_empty());
}

/// Though it is there before that is given back.
pub async fn what_an_exclusive_receiver_had_comes_first_to_the_next(subject: Subject) {
    let Some((from, to)) = subject.acking().await else { return };
    let mut sender = outlet(&from, &pipeline()).await;
    for first in [1, 21, 41] {
        let mut lost = alone(&to).await;
        send_all(&mut sender, "one", first..first + 20).await;
        let held = [next(&mut lost).await.unwrap(), next(&mut lost).await.unwrap()];
        assert_eq!(held.each_ref().map(|delivery| delivery.envelope.number), [first, first + 1]);
        let other = Arc::clone(&from);
        let following = tokio::spawn(async move {
            let mut other = alone(&other).await;
            let mut came = Vec::new();
            for _ in 0..20 {
                came.push(number(&mut other).await.unwrap());
            }
            soon("a close", other.close()).await.unwrap();
            came
        });
        drop(lost);
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(held);
        assert_eq!(soon("all of it", following).await.unwrap(), (first..first + 20).collect::<Vec<_>>());
    }
}
