//! So many processes in flight, for a while. Ours are measured with this file, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

/// How many at the same time, and how long more are begun.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pace {
    pub in_flight: usize,
    pub window: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Paced {
    pub processes_per_second: f64,
    /// From the launch of a process to its result.
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Processes that nobody times, until connections are made and statements prepared.
const WARM_UP: u64 = 20;

impl Pace {
    /// Runs processes, each with a number of its own, which check what they give. All that were begun count, and all the
    /// time until the last has ended, so that the slowest does not look better than it is.
    ///
    /// # Panics
    /// Where a process does.
    pub async fn keep<F>(self, run: impl Fn(u64) -> F + Clone + Send + Sync + 'static) -> Paced
    where
        F: Future<Output = ()> + Send + 'static,
    {
        for number in 0..WARM_UP {
            run(number).await;
        }
        let (numbers, start) = (Arc::new(AtomicU64::new(WARM_UP)), Instant::now());
        let mut lanes = JoinSet::new();
        for _ in 0..self.in_flight {
            let (run, numbers) = (run.clone(), Arc::clone(&numbers));
            lanes.spawn(async move {
                let mut latencies = Vec::new();
                while latencies.is_empty() || start.elapsed() < self.window {
                    let begun = Instant::now();
                    run(numbers.fetch_add(1, Ordering::Relaxed)).await;
                    latencies.push(begun.elapsed());
                }
                latencies
            });
        }
        let mut latencies = lanes.join_all().await.concat();
        let time = start.elapsed();
        latencies.sort_unstable();
        let at = |share: usize| latencies[latencies.len() * share / 100].as_secs_f64() * 1e3;
        #[allow(clippy::cast_precision_loss)] // Far fewer than 2^52.
        let processes_per_second = latencies.len() as f64 / time.as_secs_f64();
        Paced { processes_per_second, p50_ms: at(50), p99_ms: at(99) }
    }
}
