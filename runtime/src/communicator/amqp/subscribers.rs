//! Who is subscribed: what every connection is set up for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::statistics::Statistics;
use crate::communicator::subscription::{Room, Subscription, identifier_or_new};
use crate::communicator::{
    BroadcastFilter, BroadcastSubscriber, CommunicatorError, CommunicatorResult, RpcSubscriber, TaskSubscriber,
};
use crate::limits;
use crate::message::Broadcast;
use crate::runner::caught;

/// What is to be changed on the broker.
#[derive(Debug)]
pub(super) enum Change {
    Bind(String),
    Unbind(String),
    /// Whether tasks and broadcasts are consumed.
    Consumers,
}

/// A change, and who waits for it.
pub(super) type Wanted = (Change, oneshot::Sender<()>);

pub(super) type TaskSubscribers = Arc<[(String, Subscribed<dyn TaskSubscriber>)]>;

type Subscribed<S> = Arc<Subscription<S>>;

/// Who is removed, and when that is set up.
type Removed<S> = CommunicatorResult<(Subscribed<S>, Option<oneshot::Receiver<()>>)>;

#[derive(Default)]
pub(super) struct Subscribers {
    desired: Mutex<Desired>,
    changed: Notify,
}

#[derive(Default)]
struct Desired {
    room: Room,
    /// There is a connection that takes changes.
    accepting: bool,
    calls: HashMap<String, Called>,
    tasks: TaskSubscribers,
    broadcasts: Vec<Arc<Hearer>>,
    changes: Vec<Wanted>,
}

impl Desired {
    /// Refuses one subscriber more than there may be.
    fn check_room(&self) -> CommunicatorResult<()> {
        self.room.for_subscriber(self.calls.len() + self.tasks.len() + self.broadcasts.len())
    }
}

struct Called {
    subscription: Subscribed<dyn RpcSubscriber>,
    /// It is being removed.
    leaving: bool,
}

impl Subscribers {
    fn lock(&self) -> MutexGuard<'_, Desired> {
        self.desired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_task(
        &self,
        subscriber: Arc<dyn TaskSubscriber>,
        identifier: Option<String>,
    ) -> CommunicatorResult<(String, Option<oneshot::Receiver<()>>)> {
        let identifier = identifier_or_new(identifier)?;
        let mut desired = self.lock();
        if desired.tasks.iter().any(|(taken, _)| *taken == identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        desired.check_room()?;
        let added = (identifier.clone(), Arc::new(Subscription::new(subscriber)));
        desired.tasks = desired.tasks.iter().cloned().chain([added]).collect();
        let done = (desired.tasks.len() == 1).then(|| self.want(&mut desired, Change::Consumers)).flatten();
        Ok((identifier, done))
    }

    pub(super) fn remove_task(&self, identifier: &str) -> Removed<dyn TaskSubscriber> {
        let mut desired = self.lock();
        let Some((_, removed)) = desired.tasks.iter().find(|(taken, _)| taken == identifier).cloned() else {
            return Err(CommunicatorError::Unknown(identifier.to_owned()));
        };
        desired.tasks = desired.tasks.iter().filter(|(taken, _)| taken != identifier).cloned().collect();
        let done = desired.tasks.is_empty().then(|| self.want(&mut desired, Change::Consumers)).flatten();
        Ok((removed, done))
    }

    pub(super) fn add_rpc(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> CommunicatorResult<(String, Option<oneshot::Receiver<()>>)> {
        let identifier = identifier_or_new(identifier)?;
        let mut desired = self.lock();
        if desired.calls.contains_key(&identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        desired.check_room()?;
        desired.calls.insert(
            identifier.clone(),
            Called { subscription: Arc::new(Subscription::new(subscriber)), leaving: false },
        );
        let done = self.want(&mut desired, Change::Bind(identifier.clone()));
        Ok((identifier, done))
    }

    pub(super) fn remove_rpc(&self, identifier: &str) -> Removed<dyn RpcSubscriber> {
        let mut desired = self.lock();
        let removed = match desired.calls.get_mut(identifier) {
            Some(called) if !called.leaving => {
                called.leaving = true;
                Arc::clone(&called.subscription)
            }
            _ => return Err(CommunicatorError::Unknown(identifier.to_owned())),
        };
        let done = self.want(&mut desired, Change::Unbind(identifier.to_owned()));
        if done.is_none() {
            desired.calls.remove(identifier);
        }
        Ok((removed, done))
    }

    pub(super) fn add_broadcast(
        &self,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> CommunicatorResult<(String, Option<oneshot::Receiver<()>>)> {
        let identifier = identifier_or_new(identifier)?;
        let mut desired = self.lock();
        if desired.broadcasts.iter().any(|hearer| hearer.identifier == identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        desired.check_room()?;
        desired.broadcasts.push(Arc::new(Hearer {
            identifier: identifier.clone(),
            subscription: Arc::new(Subscription::new(subscriber)),
            filter,
            queue: Mutex::default(),
        }));
        // Also where others listen: their queue may not be bound yet.
        let done = self.want(&mut desired, Change::Consumers);
        Ok((identifier, done))
    }

    pub(super) fn remove_broadcast(&self, identifier: &str) -> Removed<dyn BroadcastSubscriber> {
        let mut desired = self.lock();
        let Some(place) = desired.broadcasts.iter().position(|hearer| hearer.identifier == identifier) else {
            return Err(CommunicatorError::Unknown(identifier.to_owned()));
        };
        let removed = Arc::clone(&desired.broadcasts.remove(place).subscription);
        let done = desired.broadcasts.is_empty().then(|| self.want(&mut desired, Change::Consumers)).flatten();
        Ok((removed, done))
    }

    fn want(&self, desired: &mut Desired, change: Change) -> Option<oneshot::Receiver<()>> {
        desired.accepting.then(|| {
            let (done, receiver) = oneshot::channel();
            desired.changes.push((change, done));
            self.changed.notify_one();
            receiver
        })
    }

    /// A connection is there: gives whose calls it is to be set up for, and takes changes from now on.
    pub(super) fn accept(&self) -> Vec<String> {
        let mut desired = self.lock();
        desired.accepting = true;
        desired.calls.keys().cloned().collect()
    }

    /// The connection is gone: what was to be changed on it need not be.
    pub(super) fn reject(&self) {
        let mut desired = self.lock();
        desired.accepting = false;
        desired.changes.clear();
        desired.calls.retain(|_, called| !called.leaving);
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn changes(&self) -> Vec<Wanted> {
        std::mem::take(&mut self.lock().changes)
    }

    /// Whether tasks are wanted, and broadcasts.
    pub(super) fn wanted(&self) -> (bool, bool) {
        let desired = self.lock();
        (!desired.tasks.is_empty(), !desired.broadcasts.is_empty())
    }

    /// The runtime on which the subscribers to tasks work, if they say so.
    pub(super) fn task_runtime(&self) -> Option<Handle> {
        self.tasks().iter().find_map(|(_, subscription)| caught(|| subscription.subscriber.runtime()).ok().flatten())
    }

    /// An identifier has no route any more.
    pub(super) fn unbound(&self, identifier: &str) {
        let mut desired = self.lock();
        if desired.calls.get(identifier).is_some_and(|called| called.leaving) {
            desired.calls.remove(identifier);
        }
    }

    pub(super) fn tasks(&self) -> TaskSubscribers {
        Arc::clone(&self.lock().tasks)
    }

    pub(super) fn rpc(&self, identifier: &str) -> Option<Subscribed<dyn RpcSubscriber>> {
        self.lock().calls.get(identifier).map(|called| Arc::clone(&called.subscription))
    }

    /// Gives a broadcast to whom it concerns; each hears theirs in order, beside the others.
    pub(super) fn broadcast(&self, broadcast: &Arc<Broadcast>, statistics: &Statistics) {
        // Filters are code of others: the lock is not held for them.
        let hearers = self.lock().broadcasts.clone();
        for hearer in hearers {
            match caught(|| hearer.filter.passes(broadcast)) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(panic) => {
                    tracing::error!(subscriber = hearer.identifier, %panic, "a filter of broadcasts panicked");
                    continue;
                }
            }
            let mut queue = hearer.lock();
            if queue.waiting.len() >= limits::BROADCASTS_WAITING {
                statistics.dropped_broadcast();
                tracing::warn!(subscriber = hearer.identifier, "a broadcast is dropped: its subscriber is too slow");
                continue;
            }
            queue.waiting.push_back(Arc::clone(broadcast));
            if !std::mem::replace(&mut queue.busy, true) {
                drop(queue);
                tokio::spawn(hear(hearer));
            }
        }
    }
}

/// A subscriber to broadcasts, and what it has not heard.
struct Hearer {
    identifier: String,
    subscription: Subscribed<dyn BroadcastSubscriber>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::communicator::{Incoming, IncomingRpc, Refusal};

    /// Of all kinds together.
    #[test]
    fn subscribers_are_bounded() {
        let subscribers = Subscribers::default();
        subscribers.lock().room.subscribers = 3;
        let no = || std::future::ready(Err(Refusal::failed("no")));
        let (does, answers) = (Arc::new(move |_: Incoming| no()), Arc::new(move |_: IncomingRpc| no()));
        let hears = Arc::new(|_: Arc<Broadcast>| std::future::ready(()));
        let task = || subscribers.add_task(does.clone(), None).map(|(identifier, _)| identifier);
        let call = || subscribers.add_rpc(answers.clone(), None).map(|(identifier, _)| identifier);
        let broadcast =
            || subscribers.add_broadcast(hears.clone(), BroadcastFilter::all(), None).map(|(added, _)| added);
        let added = task().and_then(|_| call()).and_then(|_| broadcast()).expect("there is room");
        for refused in [task(), call(), broadcast()] {
            assert!(matches!(refused, Err(CommunicatorError::Limit(_))), "{refused:?}");
        }
        subscribers.remove_broadcast(&added).map(drop).expect("it is there");
        call().expect("there is room again");
        assert_eq!(Room::default().subscribers, limits::SUBSCRIBERS);
    }
}
