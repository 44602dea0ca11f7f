//! Subscribers to broadcasts: each hears them in order, beside the others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::statistics::Statistics;
use crate::communicator::subscription::Subscription;
use crate::communicator::{BroadcastFilter, BroadcastSubscriber};
use crate::limits;
use crate::message::Broadcast;
use crate::runner::caught;

/// A subscriber to broadcasts, and what it has not heard.
pub(super) struct Hearer {
    pub(super) identifier: String,
    pub(super) subscription: Arc<Subscription<dyn BroadcastSubscriber>>,
    filter: BroadcastFilter,
    queue: Mutex<Unheard>,
}

#[derive(Default)]
struct Unheard {
    waiting: VecDeque<Arc<Broadcast>>,
    /// Someone reads the queue to its subscriber.
    busy: bool,
}

impl Hearer {
    pub(super) fn new(identifier: &str, subscriber: Arc<dyn BroadcastSubscriber>, filter: BroadcastFilter) -> Self {
        let subscription = Arc::new(Subscription::new(subscriber));
        Self { identifier: identifier.to_owned(), subscription, filter, queue: Mutex::default() }
    }

    /// Gives it a broadcast, if that concerns it.
    pub(super) fn tell(self: &Arc<Self>, broadcast: &Arc<Broadcast>, statistics: &Statistics) {
        match caught(|| self.filter.passes(broadcast)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(panic) => {
                return tracing::error!(subscriber = self.identifier, %panic, "a filter of broadcasts panicked");
            }
        }
        let mut queue = self.lock();
        if queue.waiting.len() >= limits::BROADCASTS_WAITING {
            statistics.dropped_broadcast();
            return tracing::warn!(subscriber = self.identifier, "a broadcast is dropped: its subscriber is too slow");
        }
        queue.waiting.push_back(Arc::clone(broadcast));
        if !std::mem::replace(&mut queue.busy, true) {
            drop(queue);
            tokio::spawn(hear(Arc::clone(self)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Unheard> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Arc<Broadcast>> {
        let mut queue = self.lock();
        let next = queue.waiting.pop_front();
        queue.busy = next.is_some();
        next
    }
}

async fn hear(hearer: Arc<Hearer>) {
    while let Some(broadcast) = hearer.next() {
        let heard = hearer.subscription.enter(|subscriber| subscriber.receive(broadcast)).await;
        if let Some(Err(panic)) = heard {
            tracing::error!(subscriber = hearer.identifier, panic, "a subscriber to broadcasts failed");
        }
    }
}
