//! Calls, several at the same time, and how long they take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::measure::{Bench, Sample, device_flushes, flushes_since, per_second};

/// Until both sides know their way.
pub(crate) const WARM_UP: Duration = Duration::from_millis(400);
/// A call that has no answer by then is lost.
const LOST: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    measuring: AtomicBool,
    /// Calls so far, each with a number of its own.
    asked: AtomicU64,
    answered: AtomicU64,
}

/// Keeps so many calls in flight; each gets a number, and checks its answer.
pub(crate) async fn throughput<C, F>(bench: &Bench, in_flight: usize, call: C) -> Sample
where
    C: Fn(u64) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::new(Shared::default());
    let mut lanes = JoinSet::new();
    for _ in 0..in_flight {
        lanes.spawn(lane(Arc::clone(&shared), call.clone()));
    }
    tokio::time::sleep(WARM_UP).await;
    shared.measuring.store(true, Ordering::Relaxed);
    let (start, before) = (Instant::now(), shared.answered.load(Ordering::Relaxed));
    let flushes = device_flushes(bench.directory());
    tokio::time::sleep(bench.window()).await;
    let answered = shared.answered.load(Ordering::Relaxed) - before;
    let rate = per_second(answered, start.elapsed());
    let flushes = flushes_since(flushes, bench.directory(), answered);
    shared.measuring.store(false, Ordering::Relaxed);
    shared.stop.store(true, Ordering::Relaxed);
    let latencies = tokio::time::timeout(LOST, lanes.join_all()).await.expect("no call is lost");
    assert_eq!(shared.asked.load(Ordering::Relaxed), shared.answered.load(Ordering::Relaxed), "every call is answered");
    Sample { flushes, ..Sample::new(rate).with_latencies(latencies.concat()) }
}

async fn lane<C, F>(shared: Arc<Shared>, call: C) -> Vec<Duration>
where
    C: Fn(u64) -> F,
    F: Future<Output = ()>,
{
    let mut latencies = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.asked.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        call(number).await;
        shared.answered.fetch_add(1, Ordering::Relaxed);
        if shared.measuring.load(Ordering::Relaxed) {
            latencies.push(start.elapsed());
        }
    }
    latencies
}

/// One call after the other to a worker that has nothing else to do; the value is how many were lost.
pub(crate) async fn lost<C, F>(count: usize, call: C) -> Sample
where
    C: Fn(u64) -> F,
    F: Future<Output = ()>,
{
    let mut latencies = Vec::new();
    for number in 0..count as u64 {
        let start = Instant::now();
        if tokio::time::timeout(LOST, call(number)).await.is_ok() {
            latencies.push(start.elapsed());
        }
    }
    let lost = u32::try_from(count - latencies.len()).expect("a small number");
    Sample::new(f64::from(lost)).with_latencies(latencies)
}
