//! Within one OS process: the limit is tokio's own channel, which carries the same items.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use procession::channel::{Connector, ConnectorBuilder};
use procession::transport::{LocalTransport, limits};
use tokio::sync::mpsc;

use super::{python, rate};
use crate::measure::{Bench, Sample};
use crate::report::Row;

/// As large as a small struct.
type Item = [u64; 8];

fn item(number: usize) -> Item {
    [number as u64; 8]
}

/// Of all items.
fn sum(items: usize) -> u64 {
    let items = items as u64;
    items * (items - 1) / 2
}

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    let items = bench.count(2_000_000, 20_000);
    let mut rows = Vec::new();
    for (threads, name) in [(1, "in memory, one thread"), (2, "in memory, two threads")] {
        let case = bench.case(|| on(threads, ours(items)), || on(threads, limit(items)));
        rows.push(Row::new("W8", name, "items/s", "≥ 0.80", case));
    }
    match python::interpreter() {
        Some(python) => {
            let peer = || python::measure(&python, "asyncio", items / 10);
            let case = bench.case(|| on(2, ours(items)), peer);
            rows.push(Row::new("W8", "in memory, against asyncio's queue", "items/s", "≥ 2.9", case));
        }
        None => rows.push(Row::not_measured("W8", "in memory, against asyncio's queue", "items/s")),
    }
    rows
}

fn on(threads: usize, work: impl Future<Output = Sample> + Send + 'static) -> Sample {
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(threads).enable_all().build().expect("a runtime");
    // As a task: the thread that blocks on it has no place in the runtime.
    runtime.block_on(async { tokio::spawn(work).await.expect("it ran") })
}

async fn ours(items: usize) -> Sample {
    let capacity = NonZeroUsize::new(limits::CAPACITY).expect("not none");
    let builder = ConnectorBuilder::new(Arc::new(LocalTransport::new())).with_capacity(capacity);
    let connector: Connector<Item> =
        builder.build(&"bench.out..bench.in_1".parse().expect("a spec")).expect("a connector");
    let mut sender = connector.connect_send().await.expect("a sender");
    let mut receiver = connector.connect_recv().await.expect("a receiver");
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        for number in 0..items {
            sender.send(item(number)).await.expect("sent");
        }
        sender.close().await.expect("closed");
    });
    let mut total = 0;
    while let Ok(item) = receiver.recv().await {
        total += item[3];
    }
    let took = start.elapsed();
    sending.await.expect("sent");
    assert_eq!(total, sum(items));
    rate(items, took)
}

async fn limit(items: usize) -> Sample {
    let (sender, mut receiver) = mpsc::channel(limits::CAPACITY);
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        for number in 0..items {
            sender.send(item(number)).await.expect("sent");
        }
    });
    let mut total = 0;
    while let Some(item) = receiver.recv().await {
        total += item[3];
    }
    let took = start.elapsed();
    sending.await.expect("sent");
    assert_eq!(total, sum(items));
    rate(items, took)
}
