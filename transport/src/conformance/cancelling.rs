//! Whatever waits can be cancelled: sentence 7.

use std::time::Duration;

use super::*;

/// However often it is cancelled, and when (C32 cured).
pub async fn a_cancelled_receiver_loses_nothing(subject: Subject) {
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let Some((from, to)) = subject.pair(mode).await else { continue };
        let topic = topic(&format!("cancel.{mode:?}"), mode);
        let (mut receiver, mut sender) = (inlet(&to, &topic).await, outlet(&from, &topic).await);
        let sending = tokio::spawn(async move {
            for number in 1..=300 {
                send(&mut sender, item("one", number)).await;
                if number % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            close(&mut sender).await;
        });
        let (mut came, mut cancelled) = (Vec::new(), 0);
        loop {
            match tokio::time::timeout(Duration::from_micros(200), receiver.recv()).await {
                Err(_) => cancelled += 1,
                Ok(received) => match received.unwrap() {
                    Some(Delivery { envelope, receipt, .. }) => {
                        receipt.ack();
                        came.push(envelope.number);
                    }
                    None => break,
                },
            }
        }
        assert!(cancelled > 0, "nothing was cancelled");
        assert_eq!(came, (1..=300).collect::<Vec<_>>(), "{mode:?}, cancelled {cancelled} times");
        soon("the sender", sending).await.unwrap();
    }
}

/// What was not sent did not arrive, and what comes after it does, once.
pub async fn a_cancelled_sender_sends_nothing_twice(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let topic = narrow(2);
    let (mut receiver, mut sender) = (inlet(&to, &topic).await, outlet(&from, &topic).await);
    let receiving = tokio::spawn(async move {
        let mut came = Vec::new();
        while let Some(number) = number(&mut receiver).await {
            came.push(number);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        came
    });
    let mut sent = 0;
    while sent < 200 {
        // Cancelled as often as not, and tried again with the same item.
        if let Ok(outcome) = tokio::time::timeout(Duration::from_micros(500), sender.send(item("one", sent + 1))).await
        {
            outcome.unwrap();
            sent += 1;
        }
    }
    close(&mut sender).await;
    assert_eq!(soon("the receiver's end", receiving).await.unwrap(), (1..=200).collect::<Vec<_>>());
}
