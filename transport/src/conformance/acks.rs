//! Acknowledgements: sentence 6.

use std::collections::VecDeque;

use super::*;
use crate::Receipt;

/// And before what was sent later.
pub async fn what_is_given_back_comes_again_first(subject: Subject) {
    let Some((from, to)) = subject.acking().await else { return };
    let (mut sender, mut receiver) = (outlet(&from, &narrow(8)).await, inlet(&to, &narrow(8)).await);
    send_all(&mut sender, "one", 1..=3).await;
    let first = next(&mut receiver).await.unwrap();
    assert!(!first.again);
    let second = next(&mut receiver).await.unwrap();
    let third = next(&mut receiver).await.unwrap();
    drop((third, first));
    second.receipt.ack();
    let mut came = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut receiver).await.unwrap();
        assert!(delivery.again);
        came.push(delivery.envelope.number);
        delivery.receipt.ack();
    }
    assert_eq!(came, [1, 3]);
    send_all(&mut sender, "one", [4]).await;
    close(&mut sender).await;
    assert_eq!(numbers(&rest(&mut receiver).await), [4]);
}

/// Whether it was dealing with it, or had not come to it.
pub async fn what_a_lost_receiver_had_comes_to_another(subject: Subject) {
    let Some((from, to)) = subject.acking().await else { return };
    let mut sender = outlet(&from, &pipeline()).await;
    let mut lost = inlet(&to, &pipeline()).await;
    send_all(&mut sender, "one", 1..=10).await;
    assert_eq!(number(&mut lost).await, Some(1));
    let held = next(&mut lost).await.unwrap();
    assert_eq!(held.envelope.number, 2);
    // First what receives, then what it had: as when a task ends.
    drop(lost);
    drop(held);
    close(&mut sender).await;
    let mut other = inlet(&from, &pipeline()).await;
    let mut came = numbers(&rest(&mut other).await);
    // The acknowledgement of the first may have been lost with the receiver.
    came.retain(|number| *number != 1);
    assert_eq!(came, (2..=10).collect::<Vec<_>>());
}

/// A receiver that closed has told what it had dealt with.
pub async fn what_is_acknowledged_does_not_come_again(subject: Subject) {
    let Some((from, to)) = subject.acking().await else { return };
    let mut sender = outlet(&from, &pipeline()).await;
    let mut first = inlet(&to, &pipeline()).await;
    send_all(&mut sender, "one", 1..=10).await;
    for expected in 1..=4 {
        assert_eq!(number(&mut first).await, Some(expected));
    }
    soon("a close", first.close()).await.unwrap();
    drop(first);
    close(&mut sender).await;
    let mut second = inlet(&to, &pipeline()).await;
    assert_eq!(numbers(&rest(&mut second).await), (5..=10).collect::<Vec<_>>());
}

/// None of those that are not yet acknowledged counts for one that is.
pub async fn acknowledgements_come_in_any_order(subject: Subject) {
    let Some((from, to)) = subject.acking().await else { return };
    let mut sender = outlet(&from, &pipeline()).await;
    let mut receiver = inlet(&to, &pipeline()).await;
    send_all(&mut sender, "one", 1..=9).await;
    let mut held = Vec::new();
    for _ in 1..=9 {
        held.push(next(&mut receiver).await.unwrap());
    }
    for at in [7, 4, 3, 0] {
        held.remove(at).receipt.ack();
    }
    let left: Vec<u64> = held.iter().map(|delivery| delivery.envelope.number).collect();
    assert_eq!(left, [2, 3, 6, 7, 9]);
    soon("a close", receiver.close()).await.unwrap();
    drop((receiver, held));
    close(&mut sender).await;
    let mut other = inlet(&to, &pipeline()).await;
    assert_eq!(numbers(&rest(&mut other).await), left);
}

/// The end is not told to one while what comes may still come to it.
pub async fn a_receiver_that_waits_gets_what_another_gives_back(subject: Subject) {
    let Some((from, to)) = subject.acking().await else { return };
    if !to.capabilities().competing {
        return;
    }
    let mut sender = outlet(&from, &pipeline()).await;
    let mut holds = inlet(&to, &pipeline()).await;
    send_all(&mut sender, "one", [1]).await;
    let held = next(&mut holds).await.unwrap();
    let mut waits = inlet(&from, &pipeline()).await;
    let waiting = tokio::spawn(async move { numbers(&rest(&mut waits).await) });
    close(&mut sender).await;
    drop(holds);
    drop(held);
    assert_eq!(soon("the other receiver's end", waiting).await.unwrap(), [1]);
}

/// A receiver may hold more than its transport has sent ahead to it.
pub async fn what_is_held_does_not_hold_up_the_rest(subject: Subject) {
    in_order(subject, async |receiver| {
        let (mut held, mut came) = (VecDeque::new(), Vec::new());
        while let Some(delivery) = next(receiver).await {
            came.push(delivery.envelope.number);
            held.push_back(delivery.receipt);
            // More and more of them.
            if held.len() > 8 + came.len() / 4 {
                held.drain(..4).for_each(Receipt::ack);
            }
        }
        held.into_iter().for_each(Receipt::ack);
        came
    })
    .await;
}

/// As if nothing was ever held, though it is dealt with later and beside what comes.
pub async fn what_is_dealt_with_beside_comes_in_order(subject: Subject) {
    in_order(subject, async |receiver| {
        let (deals, mut dealt) = tokio::sync::mpsc::unbounded_channel::<Receipt>();
        let dealing = tokio::spawn(async move {
            while let Some(receipt) = dealt.recv().await {
                tokio::time::sleep(Duration::from_micros(200)).await;
                receipt.ack();
            }
        });
        let mut came = Vec::new();
        while let Some(delivery) = next(receiver).await {
            came.push(delivery.envelope.number);
            deals.send(delivery.receipt).unwrap();
        }
        drop(deals);
        soon("what deals with them", dealing).await.unwrap();
        came
    })
    .await;
}

/// Many items, in either mode, to a receiver that gives their numbers.
async fn in_order(subject: Subject, receive: impl AsyncFn(&mut Box<dyn Inlet>) -> Vec<u64>) {
    const ITEMS: u64 = 400;
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let Some((from, to)) = subject.pair(mode).await else { continue };
        let name = if mode == Mode::Pipeline { "held.out..b.in_1" } else { "held.news" };
        let topic = topic(name, mode).with_capacity(NonZeroUsize::new(32).unwrap()).unwrap();
        let mut receiver = inlet(&to, &topic).await;
        let mut sender = outlet(&from, &topic).await;
        let sending = tokio::spawn(async move {
            send_all(&mut sender, "one", 1..=ITEMS).await;
            close(&mut sender).await;
        });
        assert_eq!(receive(&mut receiver).await, (1..=ITEMS).collect::<Vec<_>>(), "{mode:?}");
        soon("what sends", sending).await.unwrap();
    }
}
