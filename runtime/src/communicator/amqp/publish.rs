//! What is sent: in order, confirmed by the broker, and sent again after a lost connection where that is right.
//!
//! Everything goes over one channel, so that what was offered first arrives first: the broadcast of a transition before the reply that
//! follows from it. Frames are handed over by whoever offers the message; confirmations are awaited by one task for all.

use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};

use super::replies::Replies;
use crate::limits;

/// A message on its way out.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) mandatory: bool,
    pub(super) reply_to: ReplyTo,
    pub(super) properties: BasicProperties,
    pub(super) body: Arc<[u8]>,
}

/// Which queue of this communicator the reply goes to. Each connection has its own, as the broker may hold those of a connection that
/// was lost for some time.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReplyTo {
    Nowhere,
    Tasks,
    Calls,
}

/// The channel that is published on, and the queues for replies that belong to it.
#[derive(Clone)]
pub(super) struct Outlet {
    /// Shared: a clone of lapin's is a dozen of them.
    pub(super) channel: Arc<Channel>,
    pub(super) task_replies: ShortString,
    pub(super) call_replies: ShortString,
}

/// What became of a message.
#[derive(Debug)]
pub(super) enum Sent {
    /// The broker has it.
    Confirmed,
    /// Nobody is there to have it.
    Returned,
    /// The broker refused it.
    Refused,
    /// The connection was lost; whether it arrived is not known.
    Lost(Option<lapin::Error>),
}

/// A message that was offered.
pub(super) struct Offer {
    pub(super) message: Arc<Message>,
    /// Whether it is sent again if the connection is lost before it is confirmed.
    pub(super) again: bool,
    /// Who waits for what becomes of it; nobody does any more if this is closed.
    pub(super) done: Option<oneshot::Sender<Sent>>,
    /// A reply whose queue is not there is sent again until then: a sender whose connection was lost, too, comes back under the same name.
    pub(super) away_until: Option<Instant>,
    /// Its place among those of its kind.
    pub(super) place: OwnedSemaphorePermit,
}

type Confirming = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>;

struct Flying {
    offer: Offer,
    confirming: Confirming,
    waker: Waker,
}

#[derive(Default)]
struct State {
    channel: Option<Outlet>,
    closed: bool,
    /// By number, in the order in which they were sent.
    flying: BTreeMap<u64, Flying>,
    next: u64,
    backlog: VecDeque<Offer>,
    /// Replies that came back, and when they are sent again, in that order.
    away: VecDeque<(Instant, Offer)>,
    /// Messages that came back and whose confirmation is to come.
    returned: HashSet<ShortString>,
}

/// Sends messages, over one connection after the other.
pub(super) struct Publisher {
    /// Those who wait for replies learn from which moment a lost connection concerns them.
    replies: Arc<Replies>,
    state: Mutex<State>,
    ready: Arc<Ready>,
    /// The channel failed.
    failed: Notify,
    /// Something was confirmed.
    settled: Notify,
}

/// The numbers of messages whose confirmations may be there.
#[derive(Default)]
struct Ready {
    numbers: Mutex<Vec<u64>>,
    some: Notify,
}

struct Bell {
    number: u64,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.ring(self.number);
    }
}

impl Ready {
    fn ring(&self, number: u64) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push(number);
        if numbers.len() == 1 {
            self.some.notify_one();
        }
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Publisher {
    pub(super) fn new(replies: Arc<Replies>) -> Self {
        let (state, ready) = (Mutex::default(), Arc::default());
        Self { replies, state, ready, failed: Notify::new(), settled: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message now, or as soon as it can be. False: closed.
    pub(super) fn offer(&self, offer: Offer) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.backlog.push_back(offer);
        if state.flying.is_empty() {
            self.fly(&mut state);
        } else if state.backlog.len() == 1 {
            // Others are on their way: this one leaves with all that gather until the pump runs. Each frame that is
            // handed over by itself is a switch of threads here and a packet for the broker.
            self.ready.some.notify_one();
        }
        true
    }

    /// Whether there is a connection.
    pub(super) fn connected(&self) -> bool {
        self.lock().channel.is_some()
    }

    /// Goes on over a new channel, which has confirmations on.
    pub(super) fn connect(&self, channel: Outlet) {
        let mut state = self.lock();
        state.channel = Some(channel);
        self.fly(&mut state);
    }

    /// The connection is gone.
    pub(super) fn disconnect(&self, error: Option<&lapin::Error>) {
        let told = {
            let mut state = self.lock();
            // What was confirmed last is not lost with it.
            let mut told = self.collect(&mut state);
            told.extend(Self::ground(&mut state, error));
            told
        };
        self.tell(told);
    }

    /// Takes nothing more, and forgets what was not confirmed.
    pub(super) fn close(&self) {
        let (flying, backlog) = {
            let mut state = self.lock();
            state.closed = true;
            state.channel = None;
            state.away.clear();
            (std::mem::take(&mut state.flying), std::mem::take(&mut state.backlog))
        };
        drop((flying, backlog));
    }

    /// Ends when the channel has failed.
    pub(super) async fn failed(&self) {
        // It may have been said of the channel before.
        while self.connected() {
            self.failed.notified().await;
        }
    }

    /// Ends when nothing waits any more to be sent or confirmed.
    pub(super) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            {
                let state = self.lock();
                if state.flying.is_empty() && (state.backlog.is_empty() || state.channel.is_none()) {
                    return;
                }
            }
            settled.await;
        }
    }

    /// Looks after confirmations, for ever.
    pub(super) async fn pump(&self) {
        loop {
            let due = self.lock().away.front().map(|(due, _)| *due);
            tokio::select! {
                () = self.ready.some.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let told = {
                let mut state = self.lock();
                let told = self.collect(&mut state);
                Self::come_back(&mut state, Instant::now());
                self.fly(&mut state);
                told
            };
            self.tell(told);
            self.settled.notify_waiters();
        }
    }

    /// Sends what waits, as far as there is room.
    fn fly(&self, state: &mut State) {
        while let Some(channel) = &state.channel {
            if state.flying.len() >= limits::UNCONFIRMED {
                return;
            }
            let Some(offer) = state.backlog.pop_front() else { return };
            if offer.done.as_ref().is_some_and(oneshot::Sender::is_closed) {
                continue;
            }
            let number = state.next;
            let mut confirming = confirming(channel, Arc::clone(&offer.message));
            let waker = Waker::from(Arc::new(Bell { number, ready: Arc::clone(&self.ready) }));
            match confirming.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => {
                    state.next += 1;
                    state.flying.insert(number, Flying { offer, confirming, waker });
                }
                Poll::Ready(Ok(confirmation)) => {
                    state.next += 1;
                    let confirming: Confirming = Box::pin(std::future::ready(Ok(confirmation)));
                    state.flying.insert(number, Flying { offer, confirming, waker });
                    self.ready.ring(number);
                }
                Poll::Ready(Err(_)) => {
                    // Refused before it left: it waits for the next channel.
                    state.backlog.push_front(offer);
                    state.channel = None;
                    self.failed.notify_one();
                }
            }
        }
    }

    /// Takes the confirmations that are there.
    ///
    /// A message that came back is in the confirmation of *some* message of the same acknowledgement, which lapin goes through in no
    /// order; but never of a later one. So all that are there are looked at before any of them is told.
    fn collect(&self, state: &mut State) -> Vec<(Offer, Sent)> {
        let mut there = Vec::new();
        let mut error = None;
        loop {
            let numbers = self.ready.take();
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                let Some(flying) = state.flying.get_mut(&number) else { continue };
                let waker = flying.waker.clone();
                match flying.confirming.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(confirmation)) => {
                        let Some(flying) = state.flying.remove(&number) else { continue };
                        let acknowledged = confirmation.is_ack();
                        state.returned.extend(confirmation.take_message().as_ref().and_then(id_of));
                        there.push((flying.offer, acknowledged));
                    }
                    Poll::Ready(Err(failed)) => error = Some((number, failed)),
                }
            }
        }
        let mut told = Vec::new();
        for (offer, acknowledged) in there {
            let back = offer.message.properties.message_id().as_ref().is_some_and(|id| state.returned.remove(id));
            let sent = match (back, acknowledged) {
                (true, _) => Sent::Returned,
                (false, true) => Sent::Confirmed,
                (false, false) => Sent::Refused,
            };
            told.push((offer, sent));
        }
        if let Some((number, error)) = error {
            // A future that has ended is not polled again.
            if let Some(flying) = state.flying.get_mut(&number) {
                flying.confirming = Box::pin(std::future::pending());
            }
            told.extend(Self::ground(state, Some(&error)));
            self.failed.notify_one();
        }
        told
    }

    /// Replies whose time has come to be sent again.
    fn come_back(state: &mut State, now: Instant) {
        while state.away.front().is_some_and(|(due, _)| *due <= now)
            && let Some((_, offer)) = state.away.pop_front()
        {
            state.backlog.push_back(offer);
        }
    }

    fn tell(&self, told: Vec<(Offer, Sent)>) {
        let now = Instant::now();
        for (offer, sent) in told {
            if matches!(sent, Sent::Returned) && offer.away_until.is_some_and(|until| now < until) {
                self.lock().away.push_back((now + limits::SENDER_AGAIN, offer));
                continue;
            }
            drop(offer.place);
            let Some(done) = offer.done else { continue };
            if let (Sent::Confirmed, Some(id)) = (&sent, offer.message.properties.correlation_id()) {
                self.replies.sent(id.as_str());
            }
            // Who waited may have gone.
            let _ = done.send(sent);
        }
    }

    /// What flies is lost, or flies again first of all.
    fn ground(state: &mut State, error: Option<&lapin::Error>) -> Vec<(Offer, Sent)> {
        state.channel = None;
        state.returned.clear();
        let mut lost = Vec::new();
        for (_, flying) in std::mem::take(&mut state.flying).into_iter().rev() {
            if flying.offer.again {
                state.backlog.push_front(flying.offer);
            } else {
                lost.push((flying.offer, Sent::Lost(error.cloned())));
            }
        }
        lost
    }
}

fn id_of(message: &BasicReturnMessage) -> Option<ShortString> {
    message.delivery.properties.message_id().clone()
}

fn confirming(outlet: &Outlet, message: Arc<Message>) -> Confirming {
    let channel = Arc::clone(&outlet.channel);
    let properties = message.properties.clone();
    let properties = match message.reply_to {
        ReplyTo::Nowhere => properties,
        ReplyTo::Tasks => properties.with_reply_to(outlet.task_replies.clone()),
        ReplyTo::Calls => properties.with_reply_to(outlet.call_replies.clone()),
    };
    Box::pin(async move {
        let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
        let (exchange, routing_key) = (message.exchange.clone(), message.routing_key.clone());
        channel.basic_publish(exchange, routing_key, options, &message.body, properties).await?.await
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    /// A message that flies, and what becomes of it.
    async fn flying(publisher: &Publisher, confirming: Confirming, again: bool) -> oneshot::Receiver<Sent> {
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("a place");
        let (done, sent) = oneshot::channel();
        let message = Arc::new(Message {
            exchange: ShortString::default(),
            routing_key: ShortString::default(),
            mandatory: false,
            reply_to: ReplyTo::Nowhere,
            properties: BasicProperties::default(),
            body: Arc::from([]),
        });
        let mut state = publisher.lock();
        let number = state.next;
        state.next += 1;
        let waker = Waker::from(Arc::new(Bell { number, ready: Arc::clone(&publisher.ready) }));
        let offer = Offer { message, again, done: Some(done), away_until: None, place };
        state.flying.insert(number, Flying { offer, confirming, waker: waker.clone() });
        waker.wake();
        sent
    }

    #[tokio::test]
    async fn what_was_confirmed_just_before_the_connection_was_lost_is_told_so() {
        let publisher = Publisher::new(Arc::default());
        let confirmed = flying(&publisher, Box::pin(std::future::ready(Ok(Confirmation::Ack(None)))), false).await;
        let unconfirmed = flying(&publisher, Box::pin(std::future::pending()), false).await;
        let mut again = flying(&publisher, Box::pin(std::future::pending()), true).await;
        publisher.disconnect(None);
        assert!(matches!(confirmed.await, Ok(Sent::Confirmed)));
        assert!(matches!(unconfirmed.await, Ok(Sent::Lost(None))));
        assert!(again.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty), "it is sent again");
        assert_eq!(publisher.lock().backlog.len(), 1);
    }
}
