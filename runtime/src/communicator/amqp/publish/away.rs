//! Replies whose queues are not there: kept in order until the sender is back under the same name, or long enough.

use lapin::types::ShortString;
use std::collections::{BTreeSet, HashMap, VecDeque};
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
    waiting: VecDeque<Offer>,
    pause: Duration,
    /// None while the first is on its way.
    due: Option<Instant>,
}

impl Away {
    /// Keeps a reply that came back, at its place before those that were offered later.
    pub(super) fn came_back(&mut self, mut offers: Vec<Offer>, now: Instant) {
        offers.reverse();
        for offer in offers {
            let key = offer.message.routing_key.clone();
            let queue = self.queues.entry(key.clone()).or_insert_with(|| Queue {
                waiting: VecDeque::new(),
                pause: limits::SENDER_AGAIN,
                due: None,
            });
            queue.waiting.push_front(offer);
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
                queue.waiting.push_back(offer);
                None
            }
            None => Some(offer),
        }
    }

    /// A reply has arrived: those that waited for its queue follow.
    pub(super) fn arrived(&mut self, key: &ShortString) -> VecDeque<Offer> {
        let Some(queue) = self.queues.remove(key) else { return VecDeque::new() };
        if let Some(due) = queue.due {
            self.due.remove(&(due, key.clone()));
        }
        queue.waiting
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
            let (late, rest): (VecDeque<_>, _) =
                queue.waiting.drain(..).partition(|offer| offer.away_until.is_some_and(|until| until <= now));
            expired.extend(late);
            queue.waiting = rest;
            match queue.waiting.pop_front() {
                Some(first) => tried.push(first),
                None => drop(self.queues.remove(&key)),
            }
        }
        (tried, expired)
    }
}
