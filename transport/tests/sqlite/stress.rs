//! Whatever ends do when, each item is dealt with once.

use std::sync::Mutex;

use super::*;

/// Numbers that look random, and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn shared_topic() -> Topic {
    pipeline("topic", 40).lasting()
}

/// Goes on again and again where it cannot know how far it came.
async fn sends(transport: SqliteTransport, name: String, most: u64, mut random: Random) {
    let mut number = 1;
    loop {
        let mut sender = outlet(&transport, &shared_topic()).await;
        while random.below(40) > 0 && number <= most {
            if random.below(10) == 0 {
                // Cancelled as often as not, and then it was not sent.
                let sent = tokio::time::timeout(Duration::from_micros(100), sender.send(item(&name, number))).await;
                number += u64::from(sent.is_ok());
            } else {
                soon("room", sender.send(item(&name, number))).await.unwrap();
                number += 1;
            }
        }
        if number > most {
            return soon("a close", sender.close()).await.unwrap();
        }
        drop(sender);
        number = number.saturating_sub(5).max(1);
    }
}

/// Gives some back, leaves now and then with some in its hands, and comes again.
async fn receives(transport: SqliteTransport, done: Arc<Mutex<Vec<(String, u64)>>>, mut random: Random) {
    let mut held = Vec::new();
    loop {
        let mut receiver = inlet(&transport, &shared_topic()).await;
        while random.below(60) > 0 {
            let Ok(came) = tokio::time::timeout(Duration::from_millis(2), receiver.recv()).await else {
                // Others wait for what it has.
                held.clear();
                continue;
            };
            let Some(delivery) = came.unwrap() else {
                if held.is_empty() {
                    return;
                }
                break;
            };
            match random.below(8) {
                0 => drop(delivery),
                1 => held.push(delivery),
                _ => {
                    let (name, number) = (delivery.envelope.sender.to_string(), delivery.envelope.number);
                    done.lock().unwrap().push((name, number));
                    delivery.receipt.ack();
                }
            }
        }
        if random.below(2) == 0 {
            soon("a close", receiver.close()).await.unwrap();
        }
        drop(receiver);
        held.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_item_is_dealt_with_once_whatever_ends_do() {
    const ITEMS: u64 = 400;
    let place = Place::new();
    let transports: Vec<_> = (0..3).map(|_| place.open()).collect();
    let mut stays = outlet(&transports[0], &shared_topic()).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (seed, transport) in (1..).zip(&transports) {
        tasks.push(tokio::spawn(receives(transport.clone(), Arc::clone(&done), Random(seed))));
    }
    let mut sending = Vec::new();
    for seed in 0..4_u64 {
        let transport = transports[usize::try_from(seed % 3).unwrap()].clone();
        sending.push(tokio::spawn(sends(transport, format!("sender {seed}"), ITEMS, Random(100 + seed))));
    }
    for sending in sending {
        soon("a sender's end", sending).await.unwrap();
    }
    soon("a close", stays.close()).await.unwrap();
    for task in tasks {
        soon("a receiver's end", task).await.unwrap();
    }
    let mut all = std::mem::take(&mut *done.lock().unwrap());
    all.sort();
    let expected: Vec<_> =
        (0..4).flat_map(|seed| (1..=ITEMS).map(move |number| (format!("sender {seed}"), number))).collect();
    assert!(all == expected, "{} of {}", all.len(), expected.len());
    for table in ["item", "back", "hold", "end", "line WHERE waiting <> 0 OR held <> 0 OR backs <> 0"] {
        until(table, || place.count(table) == 0).await;
    }
}
