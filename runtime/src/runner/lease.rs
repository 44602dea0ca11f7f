//! What a worker knows of its own lease: whether it may have lapsed, by a clock of the worker's own, and whether to give it up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::shared::Shared;
use crate::store::{StoreError, StoreErrorKind};

/// A lease as its worker sees it.
///
/// The store's clock alone says when it lapses. But a store that hangs says nothing, and the worker's own clock tells it, not too late,
/// that it may have: from the instant at which the last renewal that succeeded was sent.
#[derive(Debug)]
pub(super) struct Lease {
    lasts: Duration,
    begun: Instant,
    /// Until when it holds for sure, in microseconds after that.
    until: AtomicU64,
    changed: Notify,
    /// What became of something that was written is not known.
    doubt: Notify,
}

impl Lease {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, begun: Instant::now(), until: AtomicU64::new(0), changed: Notify::new(), doubt: Notify::new() }
    }

    pub(super) fn lasts(&self) -> Duration {
        self.lasts
    }

    /// It was asked for at this instant, and granted.
    pub(super) fn granted(&self, asked: Instant) {
        let until = (asked + self.lasts).saturating_duration_since(self.begun).as_micros();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
        self.changed.notify_waiters();
    }

    /// It was given up, or lost.
    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether it was granted and not given up since, though it may have lapsed.
    pub(super) fn is_granted(&self) -> bool {
        self.until.load(Ordering::Acquire) > 0
    }

    /// Whether it holds for sure.
    pub(super) fn holds(&self) -> bool {
        self.begun.elapsed().as_micros() < u128::from(self.until.load(Ordering::Acquire))
    }

    /// How long it holds for sure.
    pub(super) fn left(&self) -> Duration {
        Duration::from_micros(self.until.load(Ordering::Acquire)).saturating_sub(self.begun.elapsed())
    }

    /// Waits until there is news of it, or until it holds.
    pub(super) async fn news(&self) {
        let changed = self.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if !self.holds() {
            changed.await;
        }
    }

    /// The worker is to give it up: what it has in the store, and what it knows of that, may be two things.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Waits until it is to be given up.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }
}

impl Shared {
    /// After a write that failed: where nobody knows whether it was done, the worker gives up its epoch. What it may have been given in
    /// the store, and does not know of, nobody would go on with; and what is on its way must not arrive after what follows.
    pub(super) fn doubt(&self, error: &StoreError) {
        if let Some(sharing) = &self.sharing
            && is_in_doubt(error)
        {
            sharing.lease.doubt();
        }
    }
}

/// Whether nobody knows what became of a write.
pub(super) fn is_in_doubt(error: &StoreError) -> bool {
    error.kind() == StoreErrorKind::Unreachable
}

#[cfg(test)]
mod tests {
    use super::Lease;
    use std::time::{Duration, Instant};

    #[test]
    fn a_lease_holds_from_when_it_was_asked_for() {
        let lease = Lease::new(Duration::from_secs(60));
        assert!(!lease.holds(), "nobody has granted it");
        lease.granted(Instant::now());
        assert!(lease.holds());
        // The answer came late.
        lease.granted(Instant::now().checked_sub(Duration::from_secs(61)).unwrap_or_else(Instant::now));
        assert!(!lease.holds());
        lease.granted(Instant::now());
        lease.end();
        assert!(!lease.holds());
    }
}
