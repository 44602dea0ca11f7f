//! Who is subscribed: what every connection is set up for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::hearer::Hearer;
use super::shared::until;
use crate::communicator::subscription::{Room, Subscription, identifier_or_new};
use crate::communicator::{
    BroadcastFilter, BroadcastSubscriber, CommunicatorError, CommunicatorResult, RpcSubscriber, TaskSubscriber,
};
use crate::limits;
use crate::runner::caught;

/// What is to be set up on the broker, as it is desired now.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whose calls are to come.
    pub(super) bind: Vec<String>,
    /// Whose calls are to come no more.
    pub(super) unbind: Vec<String>,
    /// Whether tasks and broadcasts are consumed may have changed.
    pub(super) consumers: bool,
    /// The number of the last of them.
    last: u64,
}

pub(super) type TaskSubscribers = Arc<[(String, Subscribed<dyn TaskSubscriber>)]>;

type Subscribed<S> = Arc<Subscription<S>>;

/// Who is removed, and when that is set up.
type Removed<S> = CommunicatorResult<(Subscribed<S>, Option<oneshot::Receiver<()>>)>;

#[derive(Default)]
pub(super) struct Subscribers {
    desired: Mutex<Desired>,
    changed: Notify,
    waited: Notify,
}

#[derive(Default)]
struct Desired {
    room: Room,
    broker: Broker,
    calls: HashMap<String, Called>,
    tasks: TaskSubscribers,
    broadcasts: Vec<Arc<Hearer>>,
    /// What is to be set up, in the order in which it was desired.
    changes: BTreeMap<u64, Change>,
    /// The number of the next change.
    next: u64,
    /// The one of the consumers, if it is among them.
    consumers: Option<u64>,
    /// Who waits for which change, in the order of their patience.
    waiting: Vec<Waiting>,
}

/// What becomes of changes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Broker {
    /// There is no connection. The next is set up for all that is desired then.
    #[default]
    Away,
    /// It takes nothing for now: they are made as soon as it does, and nobody waits for that.
    Deaf,
    /// They are made.
    There,
}

#[derive(Debug)]
enum Change {
    /// Whether the calls to an identifier come.
    Route(String),
    /// Whether tasks and broadcasts are consumed.
    Consumers,
}

struct Waiting {
    change: u64,
    until: Instant,
    /// Nothing is ever sent: dropped, it tells that there is nothing to wait for any more.
    _done: oneshot::Sender<()>,
}

impl Desired {
    /// Refuses one subscriber more than there may be.
    fn check_room(&self) -> CommunicatorResult<()> {
        self.room.for_subscriber(self.calls.len() + self.tasks.len() + self.broadcasts.len())
    }
}

struct Called {
    /// None: it was removed, and its route is to be.
    subscription: Option<Subscribed<dyn RpcSubscriber>>,
    /// The change that it waits for.
    change: Option<u64>,
    /// There may be a route.
    routed: bool,
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
        let done = (desired.tasks.len() == 1).then(|| self.want_consumers(&mut desired)).flatten();
        Ok((identifier, done))
    }

    pub(super) fn remove_task(&self, identifier: &str) -> Removed<dyn TaskSubscriber> {
        let mut desired = self.lock();
        let Some((_, removed)) = desired.tasks.iter().find(|(taken, _)| taken == identifier).cloned() else {
            return Err(CommunicatorError::Unknown(identifier.to_owned()));
        };
        desired.tasks = desired.tasks.iter().filter(|(taken, _)| taken != identifier).cloned().collect();
        let done = desired.tasks.is_empty().then(|| self.want_consumers(&mut desired)).flatten();
        Ok((removed, done))
    }

    pub(super) fn add_rpc(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> CommunicatorResult<(String, Option<oneshot::Receiver<()>>)> {
        let identifier = identifier_or_new(identifier)?;
        let mut desired = self.lock();
        if desired.calls.get(&identifier).is_some_and(|called| called.subscription.is_some()) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        desired.check_room()?;
        let called = desired.calls.entry(identifier.clone()).or_insert(Called {
            subscription: None,
            change: None,
            routed: false,
        });
        called.subscription = Some(Arc::new(Subscription::new(subscriber)));
        let done = self.want_route(&mut desired, &identifier);
        Ok((identifier, done))
    }

    pub(super) fn remove_rpc(&self, identifier: &str) -> Removed<dyn RpcSubscriber> {
        let mut desired = self.lock();
        let connected = desired.broker != Broker::Away;
        let called = desired.calls.get_mut(identifier).and_then(|called| {
            let removed = called.subscription.take()?;
            Some((removed, called.routed, called.change))
        });
        let (removed, routed, change) = called.ok_or_else(|| CommunicatorError::Unknown(identifier.to_owned()))?;
        if routed && connected {
            return Ok((removed, self.want_route(&mut desired, identifier)));
        }
        // The broker never heard of it: however often that happens while it hears nothing, nothing is left of it.
        desired.calls.remove(identifier);
        let told = change.map(|change| {
            desired.changes.remove(&change);
            desired.waiting.extract_if(.., |waiting| waiting.change == change).collect::<Vec<_>>()
        });
        drop(desired);
        drop(told);
        Ok((removed, None))
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
        desired.broadcasts.push(Arc::new(Hearer::new(&identifier, subscriber, filter)));
        // Also where others listen: their queue may not be bound yet.
        let done = self.want_consumers(&mut desired);
        Ok((identifier, done))
    }

    pub(super) fn remove_broadcast(&self, identifier: &str) -> Removed<dyn BroadcastSubscriber> {
        let mut desired = self.lock();
        let Some(place) = desired.broadcasts.iter().position(|hearer| hearer.identifier == identifier) else {
            return Err(CommunicatorError::Unknown(identifier.to_owned()));
        };
        let removed = Arc::clone(&desired.broadcasts.remove(place).subscription);
        let done = desired.broadcasts.is_empty().then(|| self.want_consumers(&mut desired)).flatten();
        Ok((removed, done))
    }

    fn want_consumers(&self, desired: &mut Desired) -> Option<oneshot::Receiver<()>> {
        let queued = desired.consumers;
        desired.consumers = self.queue(desired, queued, || Change::Consumers);
        desired.consumers.and_then(|change| self.wait_for(desired, change))
    }

    fn want_route(&self, desired: &mut Desired, identifier: &str) -> Option<oneshot::Receiver<()>> {
        let queued = desired.calls.get(identifier).and_then(|called| called.change);
        let change = self.queue(desired, queued, || Change::Route(identifier.to_owned()))?;
        if let Some(called) = desired.calls.get_mut(identifier) {
            called.change = Some(change);
        }
        self.wait_for(desired, change)
    }

    /// The number of a change that is to be made; none if there is nothing to change.
    fn queue(&self, desired: &mut Desired, queued: Option<u64>, change: impl FnOnce() -> Change) -> Option<u64> {
        if desired.broker == Broker::Away || queued.is_some() {
            return queued;
        }
        let number = desired.number();
        desired.changes.insert(number, change());
        self.changed.notify_one();
        Some(number)
    }

    fn wait_for(&self, desired: &mut Desired, change: u64) -> Option<oneshot::Receiver<()>> {
        (desired.broker == Broker::There).then(|| {
            let (done, receiver) = oneshot::channel();
            desired.waiting.push(Waiting { change, until: until(limits::CONNECT), _done: done });
            self.waited.notify_one();
            receiver
        })
    }

    /// A connection is there: it is to be set up for all that is desired, and for what changes from now on.
    pub(super) fn accept(&self) {
        let mut desired = self.lock();
        desired.broker = Broker::There;
        let Desired { calls, changes, next, .. } = &mut *desired;
        for (identifier, called) in calls {
            (called.change, called.routed) = (Some(*next), false);
            changes.insert(*next, Change::Route(identifier.clone()));
            *next += 1;
        }
        let number = desired.number();
        desired.changes.insert(number, Change::Consumers);
        desired.consumers = Some(number);
    }

    /// The broker takes nothing for now: nobody is to wait for it.
    pub(super) fn hold(&self) {
        let mut desired = self.lock();
        desired.broker = Broker::Deaf;
        let told = std::mem::take(&mut desired.waiting);
        drop(desired);
        drop(told);
    }

    /// It takes what comes again.
    pub(super) fn go_on(&self) {
        self.lock().broker = Broker::There;
    }

    /// The connection is gone: what was to be changed on it need not be.
    pub(super) fn reject(&self) {
        let mut desired = self.lock();
        (desired.broker, desired.consumers) = (Broker::Away, None);
        desired.changes.clear();
        desired.calls.retain(|_, called| {
            called.change = None;
            called.subscription.is_some()
        });
        let told = std::mem::take(&mut desired.waiting);
        drop(desired);
        drop(told);
    }

    /// Ends when something is to be changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets those go who have waited long enough, for ever.
    pub(super) async fn impatience(&self) {
        loop {
            let first = self.lock().waiting.first().map(|waiting| waiting.until);
            match first {
                Some(until) => sleep_until(until).await,
                None => self.waited.notified().await,
            }
            let now = Instant::now();
            let told: Vec<_> = self.lock().waiting.extract_if(.., |waiting| waiting.until <= now).collect();
            drop(told);
        }
    }

    /// What is to be set up next: so much that the broker answers in time.
    pub(super) fn changes(&self) -> Option<Changes> {
        let mut desired = self.lock();
        let mut changes = Changes::default();
        while changes.bind.len() + changes.unbind.len() < limits::BINDINGS
            && let Some((number, change)) = desired.changes.pop_first()
        {
            changes.last = number;
            match change {
                Change::Consumers => (changes.consumers, desired.consumers) = (true, None),
                Change::Route(identifier) => {
                    let Some(called) = desired.calls.get_mut(&identifier) else { continue };
                    called.change = None;
                    if called.subscription.is_some() {
                        called.routed = true;
                        changes.bind.push(identifier);
                    } else {
                        changes.unbind.push(identifier);
                    }
                }
            }
        }
        let any = changes.consumers || !changes.bind.is_empty() || !changes.unbind.is_empty();
        any.then_some(changes)
    }

    /// These are set up.
    pub(super) fn applied(&self, changes: &Changes) {
        let mut desired = self.lock();
        for identifier in &changes.unbind {
            // One that is back is kept, as is one that was back and is to go once more.
            let gone = |called: &Called| called.subscription.is_none() && called.change.is_none();
            if desired.calls.get(identifier).is_some_and(gone) {
                desired.calls.remove(identifier);
            }
        }
        let told: Vec<_> = desired.waiting.extract_if(.., |waiting| waiting.change <= changes.last).collect();
        drop(desired);
        drop(told);
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

    pub(super) fn tasks(&self) -> TaskSubscribers {
        Arc::clone(&self.lock().tasks)
    }

    pub(super) fn rpc(&self, identifier: &str) -> Option<Subscribed<dyn RpcSubscriber>> {
        self.lock().calls.get(identifier).and_then(|called| called.subscription.clone())
    }

    /// Who hears broadcasts.
    pub(super) fn hearers(&self) -> Vec<Arc<Hearer>> {
        self.lock().broadcasts.clone()
    }
}

impl Desired {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::communicator::{Answer, Incoming, IncomingRpc, Refusal};
    use crate::message::Broadcast;

    fn add(subscribers: &Subscribers, identifier: &str) -> Option<oneshot::Receiver<()>> {
        let subscriber = |call: IncomingRpc| async move { Ok(Answer::Value(call.body)) };
        subscribers.add_rpc(Arc::new(subscriber), Some(identifier.to_owned())).expect("it is free").1
    }

    fn remove(subscribers: &Subscribers, identifier: &str) -> Option<oneshot::Receiver<()>> {
        subscribers.remove_rpc(identifier).expect("it is there").1
    }

    /// Whose routes are made and removed next.
    fn next(subscribers: &Subscribers) -> Option<(Changes, [Vec<String>; 2])> {
        let changes = subscribers.changes()?;
        let routes = [changes.bind.clone(), changes.unbind.clone()];
        Some((changes, routes))
    }

    fn connected() -> Subscribers {
        let subscribers = Subscribers::default();
        subscribers.accept();
        let (changes, _) = next(&subscribers).expect("the consumers");
        assert!(changes.consumers && subscribers.changes().is_none());
        subscribers
    }

    fn ended(done: Option<oneshot::Receiver<()>>) -> bool {
        done.is_none_or(|mut done| done.try_recv() == Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn one_that_is_back_before_its_route_is_removed_keeps_it() {
        let subscribers = connected();
        let [a, none] = [vec!["a".to_owned()], Vec::new()];
        let added = add(&subscribers, "a");
        let (changes, routes) = next(&subscribers).expect("an addition");
        assert_eq!(routes, [a.clone(), none.clone()]);
        let removed = remove(&subscribers, "a");
        subscribers.applied(&changes);
        assert!(ended(added) && !ended(removed));
        // Back before it was begun to be removed, and before that was done.
        drop(add(&subscribers, "a"));
        assert_eq!(next(&subscribers).expect("an addition").1, [a.clone(), none.clone()]);
        drop(remove(&subscribers, "a"));
        let (changes, routes) = next(&subscribers).expect("a removal");
        assert_eq!(routes, [none.clone(), a.clone()]);
        let back = add(&subscribers, "a");
        subscribers.applied(&changes);
        assert!(subscribers.rpc("a").is_some());
        let (changes, routes) = next(&subscribers).expect("an addition");
        assert_eq!(routes, [a, none]);
        subscribers.applied(&changes);
        assert!(ended(back));
    }

    #[test]
    fn nothing_is_left_of_those_who_come_and_go_while_the_broker_hears_nothing() {
        let subscribers = connected();
        let kept = add(&subscribers, "kept");
        subscribers.hold();
        assert!(ended(kept), "nobody waits");
        for number in 0..100 {
            let identifier = number.to_string();
            assert!(ended(add(&subscribers, &identifier)) && ended(remove(&subscribers, &identifier)));
        }
        let desired = subscribers.lock();
        assert_eq!((desired.changes.len(), desired.calls.len(), desired.waiting.len()), (1, 1, 0));
    }

    #[test]
    fn a_new_connection_is_set_up_in_parts() {
        let subscribers = Subscribers::default();
        let all = 2 * limits::BINDINGS + 1;
        for number in 0..all {
            assert!(add(&subscribers, &number.to_string()).is_none());
        }
        subscribers.accept();
        let parts: Vec<_> = std::iter::from_fn(|| subscribers.changes()).collect();
        let sizes: Vec<_> = parts.iter().map(|part| part.bind.len()).collect();
        assert_eq!(sizes, [limits::BINDINGS, limits::BINDINGS, 1]);
        assert!(parts.last().is_some_and(|part| part.consumers));
    }

    #[tokio::test]
    async fn who_waits_too_long_is_let_go() {
        let subscribers = connected();
        let added = add(&subscribers, "a").expect("there is something to wait for");
        subscribers.lock().waiting[0].until = Instant::now();
        tokio::select! {
            () = subscribers.impatience() => {}
            _ = added => {}
        }
        assert!(subscribers.lock().waiting.is_empty() && subscribers.rpc("a").is_some());
    }

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
