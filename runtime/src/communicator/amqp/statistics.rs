//! What happened, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often something happened at an [`AmqpCommunicator`](super::AmqpCommunicator) since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AmqpStatistics {
    /// Connections that came after the first one.
    pub reconnects: u64,
    /// Broadcasts that were not sent, or that a slow subscriber did not hear.
    pub dropped_broadcasts: u64,
    /// Replies that were not sent, since too many waited for a connection.
    pub dropped_replies: u64,
    /// Replies and broadcasts that the broker refused.
    pub refused: u64,
    /// Tasks that came again.
    pub redelivered: u64,
    /// Tasks that came again while, or after, they were done here, and were not done twice.
    pub joined: u64,
    /// Tasks that were put back since every subscriber rejected them.
    pub rejected: u64,
    /// Tasks that could not be read.
    pub dead_lettered: u64,
}

#[derive(Debug, Default)]
pub(super) struct Statistics {
    reconnects: AtomicU64,
    dropped_broadcasts: AtomicU64,
    dropped_replies: AtomicU64,
    refused: AtomicU64,
    redelivered: AtomicU64,
    joined: AtomicU64,
    rejected: AtomicU64,
    dead_lettered: AtomicU64,
}

impl Statistics {
    pub(super) fn read(&self) -> AmqpStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AmqpStatistics {
            reconnects: read(&self.reconnects),
            dropped_broadcasts: read(&self.dropped_broadcasts),
            dropped_replies: read(&self.dropped_replies),
            refused: read(&self.refused),
            redelivered: read(&self.redelivered),
            joined: read(&self.joined),
            rejected: read(&self.rejected),
            dead_lettered: read(&self.dead_lettered),
        }
    }

    pub(super) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped_broadcast(&self) {
        self.dropped_broadcasts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped_reply(&self) {
        self.dropped_replies.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn redelivered(&self) {
        self.redelivered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn joined(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dead_lettered(&self) {
        self.dead_lettered.fetch_add(1, Ordering::Relaxed);
    }
}
