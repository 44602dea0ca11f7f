//! Replies whose queues are not there: kept in order until the sender is back under the same name, or long enough.

use lapin::types::ShortString;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

use super::message::Offer;
use crate::limits;

/// Replies by queue. Of each queue the first is tried again, after pauses that grow; the others follow when it has arrived.
#[derive(Default)]
pub(super) struct Away {
    queues: HashMap<ShortString, Queue>,
    due: BTreeSet<(Instant, ShortString)>,
}

struct Queue {
    /// In the order in which they were offered.
    waiting: BTreeMap<u64, Offer>,
    pause: Duration,
    /// None while the first is on its way.
    due: Option<Instant>,
}

impl Away {
    /// Keeps replies that came back, at their places before those that were offered later.
    pub(super) fn came_back(&mut self, offers: Vec<Offer>, now: Instant) {
        for offer in offers {
            let key = offer.message.routing_key.clone();
            let queue = self.queues.entry(key.clone()).or_insert_with(|| Queue {
                waiting: BTreeMap::new(),
                pause: limits::SENDER_AGAIN,
                due: None,
            });
            queue.waiting.insert(offer.order, offer);
            if queue.due.is_none() {
                let due = now + queue.pause;
                queue.pause = (queue.pause * 2).min(limits::SENDER_AGAIN_MOST);
                queue.due = Some(due);
                self.due.insert((due, key));
            }
        }
    }

    /// Takes a reply to a queue that is away; gives back any other message.
    pub(super) fn keep(&mut self, offer: Offer) -> Option<Offer> {
        if offer.away_until.is_none() {
            return Some(offer);
        }
        match self.queues.get_mut(&offer.message.routing_key) {
            Some(queue) => {
                queue.waiting.insert(offer.order, offer);
                None
            }
            None => Some(offer),
        }
    }

    /// A reply has arrived: those that waited for its queue follow.
    pub(super) fn arrived(&mut self, key: &ShortString) -> impl Iterator<Item = Offer> + use<> {
        let queue = self.queues.remove(key);
        if let Some(due) = queue.as_ref().and_then(|queue| queue.due) {
            self.due.remove(&(due, key.clone()));
        }
        queue.into_iter().flat_map(|queue| queue.waiting.into_values())
    }

    /// When the next is to be tried.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The replies to try now, one of each queue whose time has come; and those that have waited too long.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<Offer>, Vec<Offer>) {
        let (mut tried, mut expired) = (Vec::new(), Vec::new());
        while self.due.first().is_some_and(|(due, _)| *due <= now)
            && let Some((_, key)) = self.due.pop_first()
        {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            queue.due = None;
            let late = |offer: &Offer| offer.away_until.is_some_and(|until| until <= now);
            let gone: Vec<_> = queue.waiting.iter().filter(|(_, offer)| late(offer)).map(|(order, _)| *order).collect();
            expired.extend(gone.iter().filter_map(|order| queue.waiting.remove(order)));
            match queue.waiting.pop_first() {
                Some((_, first)) => tried.push(first),
                None => drop(self.queues.remove(&key)),
            }
        }
        (tried, expired)
    }
}
