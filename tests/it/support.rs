//! Runtimes for tests, and a gate that steps wait at.

use procession::clock::{ManualClock, Timestamp};
use procession::store::{MemoryStore, Store};
use procession::{Runtime, RuntimeBuilder};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Steps wait at it until a test lets them through, one by one.
#[derive(Clone)]
pub(crate) struct Gate {
    open: Arc<Semaphore>,
    reached: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), reached: Arc::new(Semaphore::new(0)) }
    }

    /// In a step: says that it is here, and waits to be let through.
    pub(crate) async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.expect("never closed").forget();
    }

    /// In a test: waits until a step is at the gate.
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(Duration::from_secs(20), self.reached.acquire()).await;
        reached.expect("a step comes to the gate").expect("never closed").forget();
    }

    /// In a test: lets this many steps through.
    pub(crate) fn open(&self, steps: usize) {
        self.open.add_permits(steps);
    }
}

/// Runtimes over one memory store, one after the other, with one clock and one gate.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) gate: Gate,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000))),
            gate: Gate::new(),
        }
    }

    pub(crate) fn builder(&self) -> RuntimeBuilder {
        Runtime::builder().shared_store(Arc::clone(&self.store)).clock(self.clock.clone()).resource(self.gate.clone())
    }

    pub(crate) fn volatile(&self) -> RuntimeBuilder {
        Runtime::volatile().clock(self.clock.clone()).resource(self.gate.clone())
    }
}

/// Polls until something holds; fails after a while.
#[track_caller]
pub(crate) fn eventually<'a, F>(mut holds: impl FnMut() -> F + 'a) -> impl Future<Output = ()> + 'a
where
    F: Future<Output = bool> + 'a,
{
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..2_000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it never held: {caller}");
    }
}

/// Xorshift: the same numbers for the same seed.
#[derive(Debug)]
#[cfg(any(feature = "sqlite", feature = "amqp", feature = "postgres"))]
pub(crate) struct Random(u64);

#[cfg(any(feature = "sqlite", feature = "amqp", feature = "postgres"))]
impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// Another one, whose numbers are others.
    #[cfg(any(feature = "amqp", all(unix, feature = "postgres")))]
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound.max(1)
    }

    /// A place in a list of this length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    pub(crate) fn fraction(&mut self) -> f64 {
        let [a, b, c, d, ..] = self.next().to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
    }
}
