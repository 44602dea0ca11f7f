//! What is to be told to those elsewhere, and under which identifiers they may reach processes from now on.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState, Transition};

/// A transition that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) pid: ProcessId,
    pub(super) from: Option<ProcessState>,
    pub(super) to: ProcessState,
    /// The message that is stored of it, until it is known to be sent.
    pub(super) message: Option<Uuid>,
}

/// What is known of a process that has ended, while it can still be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) process: &'static str,
    pub(super) state: ProcessState,
    pub(super) created_at: Timestamp,
}

#[derive(Debug)]
struct Leaving {
    /// The news that must be out before.
    after: u64,
    last: Option<Last>,
    /// Its removal is under way.
    taken: bool,
}

#[derive(Debug, Default)]
struct Inner {
    /// Processes that are to be reached, in the order in which they came.
    arriving: BTreeMap<u64, ProcessId>,
    places: HashMap<ProcessId, u64>,
    arrived: u64,
    leaving: HashMap<ProcessId, Leaving>,
    news: VecDeque<News>,
    /// The number of the last of the news.
    last: u64,
    dropped: u64,
    /// Messages that are stored and were not forgotten.
    stored: usize,
}

/// Filled by drivers, which never wait for it, and emptied by the thread that talks to the communicator.
///
/// A process can be reached before anything is told of it, and until all of it was told. What is told is bounded; who is
/// to be reached is bounded by the number of unfinished processes, since one that ends before is taken out again.
#[derive(Debug)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    /// There are news.
    pub(super) told: Notify,
    /// Someone came or may go.
    pub(super) changed: Notify,
    /// All that arrived up to this one can be reached, or never will be.
    subscribed: watch::Sender<u64>,
    /// All of the news up to this one are out, or never will be.
    published: watch::Sender<u64>,
}

/// News that go out together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) news: Vec<News>,
    /// The number of the last of them.
    pub(super) last: u64,
    /// Those that must be reachable before.
    pub(super) arrived: u64,
    /// How many were dropped since the batch before.
    pub(super) dropped: u64,
}

/// Who is to be reached, and who no more.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) arriving: Vec<ProcessId>,
    pub(super) leaving: Vec<ProcessId>,
}

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.arriving.is_empty() && self.leaving.is_empty()
    }
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            told: Notify::new(),
            changed: Notify::new(),
            subscribed: watch::Sender::new(0),
            published: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process is to be reached from now on, before its creation is told.
    pub(super) fn join(&self, pid: &ProcessId, creation: Option<(Transition<'_>, Option<Uuid>)>) {
        let mut inner = self.lock();
        match inner.leaving.get(pid) {
            // It comes back before it has gone.
            Some(leaving) if !leaving.taken => drop(inner.leaving.remove(pid)),
            _ => {
                inner.arrived += 1;
                let place = inner.arrived;
                if let Some(before) = inner.places.insert(pid.clone(), place) {
                    inner.arriving.remove(&before);
                }
                inner.arriving.insert(place, pid.clone());
            }
        }
        if let Some((creation, message)) = creation {
            inner.tell(creation, message);
        }
        drop(inner);
        self.changed.notify_one();
        self.told.notify_one();
    }

    /// Tells of a transition.
    pub(super) fn tell(&self, transition: Transition<'_>, message: Option<Uuid>) {
        self.lock().tell(transition, message);
        self.told.notify_one();
    }

    /// Tells what others have left behind, in their order.
    pub(super) fn tell_all(&self, news: Vec<News>) {
        let mut inner = self.lock();
        for one in news {
            inner.add(one);
        }
        drop(inner);
        self.told.notify_one();
    }

    /// Tells once more what is not known to have arrived.
    pub(super) fn tell_again(&self, news: News) {
        self.lock().push(news);
        self.told.notify_one();
    }

    /// Whether more can be taken over without others being dropped for it.
    pub(super) fn has_room(&self) -> bool {
        self.lock().news.len() <= limits::TRANSITIONS / 2
    }

    /// Whether what is told is to be stored: not without end, while nothing of it can be sent.
    pub(super) fn stores(&self) -> bool {
        self.lock().stored < limits::MESSAGES_STORED
    }

    /// Stored messages were forgotten, or are left to others.
    pub(super) fn forget(&self, messages: usize) {
        let mut inner = self.lock();
        inner.stored = inner.stored.saturating_sub(messages);
    }

    /// A process is not to be reached any more, when all that was told of it is out.
    pub(super) fn leave(&self, pid: &ProcessId, last: Option<Last>) {
        let mut inner = self.lock();
        if let Some(place) = inner.places.remove(pid) {
            inner.arriving.remove(&place);
        } else {
            let after = inner.last;
            inner.leaving.insert(pid.clone(), Leaving { after, last, taken: false });
        }
        drop(inner);
        // Also of one that never came: those who wait for its place wait for the round that passes over it.
        self.changed.notify_one();
    }

    /// How a process ended that can still be reached.
    pub(super) fn last_of(&self, pid: &ProcessId) -> Option<Last> {
        self.lock().leaving.get(pid)?.last
    }

    /// The next of the news.
    pub(super) fn take_news(&self) -> Batch {
        let mut inner = self.lock();
        let count = inner.news.len().min(limits::TRANSITIONS_BATCH);
        let news = inner.news.drain(..count).collect();
        let last = inner.last - inner.news.len() as u64;
        Batch { news, last, arrived: inner.arrived, dropped: std::mem::take(&mut inner.dropped) }
    }

    /// Who comes next, and who may go.
    pub(super) fn take_round(&self) -> Round {
        let published = *self.published.borrow();
        let mut inner = self.lock();
        let mut round = Round::default();
        while round.arriving.len() < limits::SUBSCRIBING
            && let Some((_, pid)) = inner.arriving.pop_first()
        {
            inner.places.remove(&pid);
            round.arriving.push(pid);
        }
        for (pid, leaving) in &mut inner.leaving {
            if round.leaving.len() < limits::SUBSCRIBING && !leaving.taken && leaving.after <= published {
                leaving.taken = true;
                round.leaving.push(pid.clone());
            }
        }
        round
    }

    /// What was taken for a round is done. One that is empty is to be finished too: places are passed over that nobody
    /// has any more.
    pub(super) fn finish_round(&self, round: &Round) {
        let mut inner = self.lock();
        for pid in &round.leaving {
            if inner.leaving.get(pid).is_some_and(|leaving| leaving.taken) {
                inner.leaving.remove(pid);
            }
        }
        let arrived = inner.arriving.first_key_value().map_or(inner.arrived, |(place, _)| place - 1);
        drop(inner);
        self.subscribed.send_if_modified(|subscribed| {
            let moves = *subscribed < arrived;
            *subscribed = arrived.max(*subscribed);
            moves
        });
    }

    /// What was taken of the news is out.
    pub(super) fn finish_batch(&self, batch: &Batch) {
        self.published.send_replace(batch.last);
        self.changed.notify_one();
    }

    /// Waits until all that have come can be reached.
    pub(super) async fn all_arrived(&self) {
        let arrived = self.lock().arrived;
        self.arrived(arrived).await;
    }

    /// Waits until those up to one can be reached.
    pub(super) async fn arrived(&self, place: u64) {
        // The sender lives in `self`.
        let _ = self.subscribed.subscribe().wait_for(|subscribed| *subscribed >= place).await;
    }

    /// Waits until all of the news are out.
    pub(super) async fn all_told(&self) {
        let last = self.lock().last;
        let _ = self.published.subscribe().wait_for(|published| *published >= last).await;
    }

    /// Nobody will make subscriptions any more: nobody is to wait for one.
    pub(super) fn give_up_arrivals(&self) {
        self.subscribed.send_replace(u64::MAX);
    }

    /// Nobody will take anything any more: nobody is to wait for it.
    pub(super) fn give_up(&self) {
        self.give_up_arrivals();
        self.published.send_replace(u64::MAX);
    }
}

impl Inner {
    fn tell(&mut self, Transition { pid, from, to, .. }: Transition<'_>, message: Option<Uuid>) {
        self.add(News { pid: pid.clone(), from, to, message });
    }

    fn add(&mut self, news: News) {
        self.stored += usize::from(news.message.is_some());
        self.push(news);
    }

    fn push(&mut self, news: News) {
        if self.news.len() >= limits::TRANSITIONS {
            // What is newest is what people wait for. One that is stored is told by whoever takes over from this runtime.
            self.news.pop_front();
            self.dropped += 1;
        }
        self.last += 1;
        self.news.push_back(news);
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessState::{Created, Finished, Running};
    use super::*;

    fn created(pid: &ProcessId) -> Transition<'_> {
        Transition { pid, from: None, to: Created }
    }

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(future).poll(&mut context).is_ready()
    }

    #[test]
    fn a_process_leaves_when_its_news_are_out_and_comes_back_before() {
        let outbox = Outbox::new();
        let pid = ProcessId::from("p");
        outbox.join(&pid, Some((created(&pid), None)));
        let round = outbox.take_round();
        assert_eq!(round.arriving, std::slice::from_ref(&pid));
        outbox.finish_round(&round);
        outbox.tell(Transition { pid: &pid, from: Some(Running), to: Finished }, None);
        outbox.leave(&pid, None);
        assert!(outbox.take_round().is_empty(), "its end is not out");
        let batch = outbox.take_news();
        assert_eq!((batch.news.len(), batch.last, batch.arrived), (2, 2, 1));
        outbox.finish_batch(&batch);
        outbox.join(&pid, None);
        assert!(outbox.take_round().is_empty(), "it has never gone");
        outbox.leave(&pid, None);
        let round = outbox.take_round();
        assert_eq!(round.leaving, std::slice::from_ref(&pid));
        outbox.join(&pid, None);
        outbox.finish_round(&round);
        assert_eq!(outbox.take_round().arriving, [pid], "it comes back after it went");
    }

    #[test]
    fn one_that_ends_before_it_came_leaves_nothing_but_its_news() {
        let outbox = Outbox::new();
        let pid = ProcessId::from("p");
        outbox.join(&pid, Some((created(&pid), None)));
        outbox.leave(&pid, None);
        let batch = outbox.take_news();
        assert_eq!(batch.news.len(), 1);
        assert!(!is_ready(outbox.all_arrived()));
        let round = outbox.take_round();
        assert!(round.is_empty());
        outbox.finish_round(&round);
        assert!(is_ready(outbox.all_arrived()) && is_ready(outbox.arrived(batch.arrived)), "nobody waits for it");
        assert!(outbox.lock().leaving.is_empty() && outbox.lock().places.is_empty());
    }

    #[test]
    fn one_that_ends_while_others_come_holds_up_nobody() {
        let outbox = Outbox::new();
        let [first, second, third] = [1, 2, 3].map(ProcessId::from);
        outbox.join(&first, Some((created(&first), None)));
        let round = outbox.take_round();
        outbox.join(&second, Some((created(&second), None)));
        assert!(is_ready(outbox.changed.notified()));
        outbox.leave(&second, None);
        assert!(is_ready(outbox.changed.notified()), "the thread hears of it");
        outbox.finish_round(&round);
        assert!(is_ready(outbox.all_arrived()));
        outbox.join(&second, Some((created(&second), None)));
        outbox.join(&third, Some((created(&third), None)));
        outbox.leave(&second, None);
        outbox.finish_round(&Round::default());
        assert!(is_ready(outbox.arrived(3)) && !is_ready(outbox.all_arrived()), "the third has yet to come");
        let round = outbox.take_round();
        assert_eq!(round.arriving, [third]);
        outbox.finish_round(&round);
        assert!(is_ready(outbox.all_arrived()));
        outbox.give_up();
        outbox.finish_round(&outbox.take_round());
        outbox.join(&first, None);
        assert!(is_ready(outbox.all_arrived()), "it stays given up");
    }

    #[test]
    fn the_newest_news_are_kept_and_the_others_counted() {
        let outbox = Outbox::new();
        let pid = ProcessId::from("p");
        let more = 10;
        for _ in 0..limits::TRANSITIONS + more {
            outbox.tell(Transition { pid: &pid, from: Some(Running), to: Running }, None);
        }
        outbox.tell(Transition { pid: &pid, from: Some(Running), to: Finished }, None);
        let mut batch = outbox.take_news();
        assert_eq!(batch.dropped, more as u64 + 1);
        let mut seen = 0;
        while !batch.news.is_empty() {
            seen += batch.news.len();
            let last = batch.news.last().map(|news| news.to);
            batch = outbox.take_news();
            assert!(!batch.news.is_empty() || last == Some(Finished));
        }
        assert_eq!((seen, batch.last), (limits::TRANSITIONS, (limits::TRANSITIONS + more + 1) as u64));
    }
}
