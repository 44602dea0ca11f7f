//! What is sent: in order, confirmed by the broker, and sent again after a lost connection where that is right.
//!
//! Everything goes over one channel, so that what was offered first arrives first: the broadcast of a transition before the reply that
//! follows from it. Frames are handed over by whoever offers the message; confirmations are awaited by one task for all, at once where
//! someone waits for what becomes of a message, and every [`limits::CONFIRMED`] where nobody does.

mod away;
mod message;

pub(super) use message::{Message, Offer, Outlet, ReplyTo, Sent};

use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::protocol::AMQPErrorKind;
use lapin::types::ShortString;
use lapin::{Confirmation, ErrorKind};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use self::away::Away;
use super::replies::Replies;
use super::statistics::Statistics;
use super::wire;
use crate::limits;
use crate::message::{Node, ReplyBody};

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
    /// So many were offered.
    offered: u64,
    /// By number, in the order in which they were sent.
    flying: BTreeMap<u64, Flying>,
    next: u64,
    backlog: VecDeque<Offer>,
    /// So many of the backlog were on their way when the broker closed the channel for one of them: they fly one by one, until it is known
    /// for which.
    suspects: usize,
    /// By its order, the one that was alone on its way when the broker closed the channel: for it, if that happens again. Once may be by
    /// what others do with the channel.
    accused: Option<u64>,
    away: Away,
    /// Messages that came back and whose confirmation is to come.
    returned: HashSet<ShortString>,
    /// The pump looks for confirmations now and then.
    ticking: bool,
}

/// Sends messages, over one connection after the other.
pub(super) struct Publisher {
    /// Those who wait for replies learn from which moment a lost connection concerns them.
    replies: Arc<Replies>,
    statistics: Arc<Statistics>,
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
    /// Nobody waits: the pump need not be woken.
    quiet: bool,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.ring(self.number, self.quiet);
    }
}

impl Ready {
    fn ring(&self, number: u64, quiet: bool) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        if !quiet {
            self.some.notify_one();
        }
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Publisher {
    pub(super) fn new(replies: Arc<Replies>, statistics: Arc<Statistics>) -> Self {
        let (state, ready) = (Mutex::default(), Arc::default());
        Self { replies, statistics, state, ready, failed: Notify::new(), settled: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message now, or as soon as it can be. False: closed.
    pub(super) fn offer(&self, mut offer: Offer) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.offered += 1;
        offer.order = state.offered;
        let Some(offer) = state.away.keep(offer) else { return true };
        state.backlog.push_back(offer);
        self.fly(&mut state);
        true
    }

    /// Whether so much is on its way that more gathers.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().flying.len() >= limits::MANY_SENT
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
        let forgotten = {
            let mut state = self.lock();
            state.closed = true;
            state.channel = None;
            (std::mem::take(&mut state.away), std::mem::take(&mut state.flying), std::mem::take(&mut state.backlog))
        };
        drop(forgotten);
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
            let next = {
                let state = self.lock();
                let tick =
                    if state.flying.len() < limits::MANY_SENT { limits::CONFIRMED } else { limits::CONFIRMED_MANY };
                let tick = state.ticking.then(|| Instant::now() + tick);
                [state.away.next(), tick].into_iter().flatten().min()
            };
            let ticked = tokio::select! {
                () = self.ready.some.notified() => false,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => true,
            };
            let told = {
                let mut state = self.lock();
                let mut told = self.collect(&mut state);
                let (tried, expired) = state.away.due(Instant::now());
                told.extend(expired.into_iter().map(|offer| (offer, Sent::Returned)));
                state.backlog.extend(tried);
                self.fly(&mut state);
                if ticked && state.flying.is_empty() {
                    state.ticking = false;
                }
                told
            };
            self.tell(told);
            self.settled.notify_waiters();
        }
    }

    /// Sends what waits, as far as there is room.
    fn fly(&self, state: &mut State) {
        while let Some(channel) = &state.channel {
            let apart = state.suspects > 0 || state.accused.is_some();
            let most = if apart { 1 } else { limits::UNCONFIRMED };
            if state.flying.len() >= most {
                return;
            }
            let Some(offer) = state.backlog.pop_front() else { return };
            state.suspects = state.suspects.saturating_sub(1);
            // A reply is awaited by others behind it, whoever has given up here.
            if offer.done.as_ref().is_some_and(oneshot::Sender::is_closed) && offer.away_until.is_none() {
                state.accused = state.accused.filter(|accused| *accused != offer.order);
                continue;
            }
            let number = state.next;
            let mut confirming = confirming(channel, Arc::clone(&offer.message));
            let quiet = offer.done.is_none() || state.flying.len() >= limits::MANY_SENT;
            let bell = Bell { number, quiet, ready: Arc::clone(&self.ready) };
            let waker = Waker::from(Arc::new(bell));
            match confirming.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => {
                    state.next += 1;
                    state.flying.insert(number, Flying { offer, confirming, waker });
                    if !std::mem::replace(&mut state.ticking, true) {
                        self.ready.some.notify_one();
                    }
                }
                Poll::Ready(Ok(confirmation)) => {
                    state.next += 1;
                    let confirming: Confirming = Box::pin(std::future::ready(Ok(confirmation)));
                    state.flying.insert(number, Flying { offer, confirming, waker });
                    self.ready.ring(number, false);
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
    /// order; but never of a later one. So all that are there are looked at before any of them is told, and lapin is waited for, should it
    /// be in the midst of them.
    fn collect(&self, state: &mut State) -> Vec<(Offer, Sent)> {
        let mut there = BTreeMap::new();
        let mut error = None;
        self.poll_ready(state, &mut there, &mut error);
        if !there.is_empty()
            && let Some(outlet) = &state.channel
        {
            // Its first step takes the lock that lapin holds while it goes through an acknowledgement; what it gives is not of interest.
            let _ = pin!(outlet.channel.wait_for_confirms()).poll(&mut Context::from_waker(Waker::noop()));
            self.poll_ready(state, &mut there, &mut error);
        }
        let mut told = Vec::new();
        for (offer, acknowledged) in there.into_values() {
            state.accused = state.accused.filter(|accused| *accused != offer.order);
            let back = offer.message.properties.message_id().as_ref().is_some_and(|id| state.returned.remove(id));
            let sent = match (back, acknowledged) {
                (true, _) => Sent::Returned,
                (false, true) => Sent::Confirmed,
                (false, false) => Sent::Refused(None),
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
        let (came_back, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|(offer, sent)| {
            matches!(sent, Sent::Returned) && offer.away_until.is_some_and(|until| Instant::now() < until)
        });
        state.away.came_back(came_back.into_iter().map(|(offer, _)| offer).collect(), Instant::now());
        for (offer, _) in told.iter().filter(|(offer, _)| offer.away_until.is_some()) {
            let following = state.away.arrived(&offer.message.routing_key);
            state.backlog.extend(following);
        }
        told
    }

    fn poll_ready(
        &self,
        state: &mut State,
        there: &mut BTreeMap<u64, (Offer, bool)>,
        error: &mut Option<(u64, lapin::Error)>,
    ) {
        loop {
            let numbers = self.ready.take();
            if numbers.is_empty() {
                return;
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
                        there.insert(number, (flying.offer, acknowledged));
                    }
                    Poll::Ready(Err(failed)) => *error = Some((number, failed)),
                }
            }
        }
    }

    fn tell(&self, told: Vec<(Offer, Sent)>) {
        for (mut offer, sent) in told {
            let Some(done) = offer.done.take() else {
                self.unheard(offer, &sent);
                continue;
            };
            if let (Sent::Confirmed, Some(id)) = (&sent, offer.message.properties.correlation_id()) {
                self.replies.sent(id.as_str());
            }
            // Who waited may have gone.
            let _ = done.send(sent);
        }
    }

    /// What nobody waits for is at least counted. Who waits for a reply that the broker refuses hears that.
    fn unheard(&self, offer: Offer, sent: &Sent) {
        let Offer { message, away_until, place, .. } = offer;
        let (to, exchange) = (message.routing_key.as_str(), message.exchange.as_str());
        match sent {
            Sent::Refused(error) => {
                self.statistics.refused();
                let error = error.as_ref().map(ToString::to_string);
                tracing::error!(to, exchange, error, "the broker refused a message that nobody waits for");
                let Some((error, _)) = error.zip(away_until) else { return };
                let text = format!("the broker refused the reply: {error}");
                let Ok(body) = wire::encode(&Node::from(ReplyBody::Exception(text))) else { return };
                let message = Arc::new(Message { body, ..Message::clone(&message) });
                self.offer(Offer { message, again: true, done: None, away_until: None, order: 0, place });
            }
            Sent::Returned if message.mandatory => tracing::debug!(to, exchange, "nobody is there for a message"),
            _ => {}
        }
    }

    /// What flies is lost, or flies again first of all.
    fn ground(state: &mut State, error: Option<&lapin::Error>) -> Vec<(Offer, Sent)> {
        state.channel = None;
        state.returned.clear();
        let flying = std::mem::take(&mut state.flying);
        let blamed = error.is_some_and(is_of_a_message);
        let alone =
            flying.first_key_value().filter(|_| blamed && flying.len() == 1).map(|(_, alone)| alone.offer.order);
        let guilty = alone.is_some() && alone == state.accused;
        // It is said of the channel, and of its connection.
        if !flying.is_empty() {
            state.accused = alone.filter(|_| !guilty);
        }
        if blamed && !guilty {
            // Those of before that have not flown again are still among them.
            state.suspects = if alone.is_some() { state.suspects + 1 } else { flying.len() };
        }
        let mut lost = Vec::new();
        for (_, Flying { offer, .. }) in flying.into_iter().rev() {
            if guilty {
                lost.push((offer, Sent::Refused(error.cloned())));
            } else if offer.again || blamed {
                state.backlog.push_front(offer);
            } else {
                lost.push((offer, Sent::Lost(error.cloned())));
            }
        }
        lost
    }
}

/// Whether the broker has closed the channel for what was sent on it: a body that is too large, an exchange that is not there.
fn is_of_a_message(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if matches!(error.kind(), AMQPErrorKind::Soft(_)))
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
    use lapin::BasicProperties;
    use lapin::protocol::{AMQPError, AMQPSoftError};
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
        let waker = Waker::from(Arc::new(Bell { number, quiet: false, ready: Arc::clone(&publisher.ready) }));
        let offer = Offer { message, again, done: Some(done), away_until: None, order: 0, place };
        state.flying.insert(number, Flying { offer, confirming, waker: waker.clone() });
        waker.wake();
        sent
    }

    #[tokio::test]
    async fn what_was_confirmed_just_before_the_connection_was_lost_is_told_so() {
        let publisher = Publisher::new(Arc::default(), Arc::default());
        let confirmed = flying(&publisher, Box::pin(std::future::ready(Ok(Confirmation::Ack(None)))), false).await;
        let unconfirmed = flying(&publisher, Box::pin(std::future::pending()), false).await;
        let mut again = flying(&publisher, Box::pin(std::future::pending()), true).await;
        publisher.disconnect(None);
        assert!(matches!(confirmed.await, Ok(Sent::Confirmed)));
        assert!(matches!(unconfirmed.await, Ok(Sent::Lost(None))));
        assert!(again.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty), "it is sent again");
        assert_eq!(publisher.lock().backlog.len(), 1);
    }

    #[tokio::test]
    async fn one_is_refused_when_the_channel_was_closed_twice_for_it_alone() {
        fn closed() -> lapin::Error {
            let error = AMQPError::new(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED), "unknown tag".into());
            ErrorKind::ProtocolError(error).into()
        }
        let publisher = Publisher::new(Arc::default(), Arc::default());
        let failing = || Box::pin(std::future::pending());
        let mut sent = flying(&publisher, failing(), false).await;
        publisher.disconnect(Some(&closed()));
        publisher.disconnect(Some(&closed()));
        assert!(sent.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty), "it flies again");
        {
            let mut state = publisher.lock();
            let offer = state.backlog.pop_front().expect("it waits for a channel");
            let number = state.next;
            let flying = Flying { offer, confirming: failing(), waker: Waker::noop().clone() };
            state.flying.insert(number, flying);
        }
        publisher.disconnect(Some(&closed()));
        assert!(matches!(sent.await, Ok(Sent::Refused(Some(_)))));
    }
}
