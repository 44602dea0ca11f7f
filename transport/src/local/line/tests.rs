use std::future::poll_fn;

use super::*;

fn ends(capacity: usize) -> (LineSender<u32>, LineReceiver<u32>) {
    let line = Arc::new(Line::new(capacity));
    (LineSender::new(Arc::clone(&line)).unwrap(), LineReceiver::new(line).unwrap())
}

async fn send(sender: &LineSender<u32>, value: u32) -> Result<(), Stopped> {
    let mut value = Some(value);
    poll_fn(|cx| sender.poll_send(&mut value, cx)).await
}

async fn take(receiver: &mut LineReceiver<u32>) -> Option<u32> {
    poll_fn(|cx| receiver.poll_take(cx)).await.unwrap().map(|entry| entry.value)
}

fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn the_capacity_counts_what_a_receiver_took_and_did_not_give_out() {
    let (sender, mut receiver) = ends(16);
    for value in 0..16 {
        send(&sender, value).await.unwrap();
    }
    assert_eq!(at_once(send(&sender, 16)), None);
    assert_eq!(take(&mut receiver).await, Some(0));
    assert!(!receiver.taken.is_empty(), "some were taken together");
    assert_eq!(at_once(send(&sender, 16)), Some(Ok(())));
    assert_eq!(at_once(send(&sender, 17)), None);
}

#[tokio::test]
async fn what_a_receiver_took_and_did_not_give_out_comes_to_others_in_order() {
    let (mut sender, mut receiver) = ends(64);
    for value in 0..10 {
        send(&sender, value).await.unwrap();
    }
    assert_eq!(take(&mut receiver).await, Some(0));
    assert!(!receiver.taken.is_empty());
    let mut other = LineReceiver::new(Arc::clone(receiver.line())).unwrap();
    sender.close();
    drop(receiver);
    for value in 1..10 {
        assert_eq!(take(&mut other).await, Some(value));
    }
    assert_eq!(take(&mut other).await, None);
}

#[tokio::test]
async fn the_end_waits_for_what_others_hold() {
    let (mut sender, mut receiver) = ends(4);
    let mut other = LineReceiver::new(Arc::clone(receiver.line())).unwrap();
    send(&sender, 7).await.unwrap();
    sender.close();
    let (entry, held) = poll_fn(|cx| receiver.poll_hold(cx)).await.unwrap().unwrap();
    assert_eq!(at_once(take(&mut other)), None);
    assert_eq!(take(&mut receiver).await, None, "what it holds itself is no reason to wait");
    held.release(entry);
    assert_eq!(take(&mut other).await, Some(7));
    assert_eq!(take(&mut other).await, None);
}

#[tokio::test]
async fn one_who_takes_the_place_of_one_that_is_gone_ends_it() {
    let (sender, mut receiver) = ends(4);
    drop(sender);
    assert_eq!(at_once(take(&mut receiver)), None, "gone is not closed");
    let mut sender = LineSender::new(Arc::clone(receiver.line())).unwrap();
    send(&sender, 1).await.unwrap();
    sender.close();
    assert_eq!(take(&mut receiver).await, Some(1));
    assert_eq!(take(&mut receiver).await, None);
    assert_eq!(LineSender::new(Arc::clone(receiver.line())).unwrap_err(), Stopped::Over);
    let line = Arc::clone(receiver.line());
    drop(receiver);
    assert!(LineSender::new(line).is_ok(), "nobody receives any more, so it begins anew");
}

/// Every item comes once, whatever threads do when: some give back, some leave in the middle.
#[test]
fn nothing_is_lost_or_repeated_between_threads() {
    const ITEMS: u32 = 20_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let line = Arc::new(Line::<u32>::new(16));
        let mut ends: Vec<_> = (0..2).map(|_| LineSender::new(Arc::clone(&line)).unwrap()).collect();
        let receivers = (0..3_u32).map(|index| {
            let line = Arc::clone(&line);
            tokio::spawn(async move {
                let mut receiver = LineReceiver::new(Arc::clone(&line)).unwrap();
                let (mut got, mut turns) = (Vec::new(), 0_u32);
                loop {
                    turns += 1;
                    if turns.is_multiple_of(100 + index) {
                        receiver = LineReceiver::new(Arc::clone(&line)).unwrap();
                    }
                    let Some((entry, held)) = poll_fn(|cx| receiver.poll_hold(cx)).await.unwrap() else { break };
                    if turns.is_multiple_of(7) {
                        held.release(entry);
                    } else {
                        got.push(entry.value);
                        held.ack();
                    }
                }
                got
            })
        });
        let receivers: Vec<_> = receivers.collect();
        let senders = (0..2_u32).map(|sender| {
            let mut end = ends.remove(0);
            tokio::spawn(async move {
                for item in 0..ITEMS {
                    send(&end, sender * ITEMS + item).await.unwrap();
                }
                end.close();
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            sender.await.unwrap();
        }
        let mut all = Vec::new();
        for receiver in receivers {
            all.extend(receiver.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..2 * ITEMS).collect::<Vec<_>>());
    });
}
