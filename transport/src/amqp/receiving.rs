//! The task that receives for an inlet, over one connection after the other.
//!
//! The end of a pipeline is told when nothing of it waits and nobody else has anything of it. Who has, consumes: so an inlet that has
//! nothing stops consuming once the topic is over, and looks now and then whether anything was given back, until nobody consumes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicQosOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::ShortString;
use lapin::{Channel, Consumer};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::END;
use super::inlet::{Arrived, Phase};
use super::link::{Link, Lost, answered, failed, soft};
use super::topology::{Counts, Place, consume, consume_as, private};
use crate::{Envelope, TransportError, TransportResult, limits};

/// Where it comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Pipeline(Place),
    /// With the queue of this subscriber.
    PubSub(Place, ShortString),
    /// With its address.
    Mailbox(ShortString, String),
}

/// What receives for one inlet.
pub(super) struct Receiving {
    pub(super) link: Arc<Link>,
    pub(super) source: Source,
    pub(super) arrived: Arc<Arrived>,
}

/// What there is while a connection lasts.
pub(super) struct Session {
    data: Channel,
    /// None: it has nothing, and waits for the end.
    consumer: Option<Consumer>,
    /// How much the broker gives to the consumer ahead of acknowledgements.
    prefetch: u16,
    control: Option<Control>,
    /// The number that comes next of each publisher.
    publishers: HashMap<ShortString, u64>,
    /// The topic is over.
    is_over: bool,
    /// When it is looked whether all was received, and how long after that again.
    look: Instant,
    delay: Duration,
    used: Instant,
}

/// Counts as an open inlet, and is told the end.
struct Control {
    channel: Channel,
    presence: Consumer,
    end: Option<u64>,
}

enum Step {
    Go,
    Lost,
    Done,
}

impl Source {
    fn queue(&self) -> &ShortString {
        match self {
            Self::Pipeline(place) => &place.name,
            Self::PubSub(_, queue) | Self::Mailbox(queue, _) => queue,
        }
    }

    fn place(&self) -> Option<&Place> {
        match self {
            Self::Pipeline(place) | Self::PubSub(place, _) => Some(place),
            Self::Mailbox(..) => None,
        }
    }

    fn failed(&self, lost: Lost) -> TransportError {
        match self.place() {
            Some(place) => place.failed("opening an inlet")(lost),
            None => failed("opening a mailbox", lost),
        }
    }

    /// That it cannot be received from: another does, perhaps.
    fn refused(&self, lost: Lost) -> TransportError {
        match (self.place(), soft(&lost)) {
            (Some(place), Some((lapin::protocol::AMQPSoftError::ACCESSREFUSED, _))) => {
                TransportError::Occupied { topic: place.topic.name().to_owned() }
            }
            _ => self.failed(lost),
        }
    }

    /// How much the broker has on the way at first.
    fn prefetch(&self) -> u16 {
        let capacity = self.place().map_or(limits::MAILBOX, |place| place.topic.capacity());
        u16::try_from(capacity / 2).unwrap_or(u16::MAX).clamp(1, limits::PREFETCH)
    }

    async fn count(&self, channel: &Channel) -> Result<Counts, Lost> {
        match self {
            Self::Pipeline(place) => place.count(channel).await,
            Self::PubSub(place, queue) => place.subscribe(channel, queue).await,
            Self::Mailbox(queue, _) => private(channel, queue, limits::MAILBOX).await,
        }
    }

    async fn declare(&self, channel: &Channel) -> TransportResult<()> {
        match self {
            Self::Pipeline(place) => place.declare(channel).await.map(drop).map_err(|lost| self.failed(lost)),
            Self::PubSub(place, queue) => {
                place.declare(channel).await.map_err(|lost| self.failed(lost))?;
                place.subscribe(channel, queue).await.map(drop).map_err(|lost| self.failed(lost))
            }
            Self::Mailbox(queue, address) => {
                let taken = || TransportError::Taken { address: address.clone() };
                match private(channel, queue, limits::MAILBOX).await {
                    // Over this connection it is not locked.
                    Ok(counts) if counts.consumers > 0 => Err(taken()),
                    Ok(_) => Ok(()),
                    Err(lost) => match soft(&lost) {
                        Some((lapin::protocol::AMQPSoftError::RESOURCELOCKED, _)) => Err(taken()),
                        _ => Err(self.failed(lost)),
                    },
                }
            }
        }
    }
}

/// Opens a session: what is sent from now on comes.
pub(super) async fn open(link: &Link, source: &Source) -> TransportResult<Session> {
    let data = link.channel().await?;
    source.declare(&data).await?;
    let lost = |lost| source.failed(lost);
    let control = match source.place() {
        Some(place) => {
            let channel = link.channel().await?;
            place.count_receivers(&channel).await.map_err(lost)?;
            // One end for each, as it is not acknowledged.
            qos(&channel, 1).await.map_err(lost)?;
            let presence = consume_as(&channel, &place.receivers, place.topic.is_exclusive()).await;
            let presence = presence.map_err(|lost| source.refused(lost))?;
            if place.topic.is_exclusive() {
                alone(&data, place).await?;
            }
            Some(Control { channel, presence, end: None })
        }
        None => None,
    };
    let prefetch = source.prefetch();
    qos(&data, prefetch).await.map_err(lost)?;
    let consumer = consume(&data, source.queue()).await.map_err(lost)?;
    Ok(Session {
        data,
        consumer: Some(consumer),
        prefetch,
        control,
        publishers: HashMap::new(),
        is_over: false,
        look: Instant::now(),
        delay: Duration::ZERO,
        used: Instant::now(),
    })
}

/// Waits until nobody else consumes: now that there is no other inlet, one that was lost does until the broker has put back what it had,
/// which it does at once with taking it for gone.
async fn alone(channel: &Channel, place: &Place) -> TransportResult<()> {
    let failed = |lost| place.failed("opening an inlet")(lost);
    let until = Instant::now() + limits::ALONE;
    while place.count(channel).await.map_err(failed)?.consumers > 0 {
        if Instant::now() > until {
            // It is no inlet.
            return Err(TransportError::Occupied { topic: place.topic.name().to_owned() });
        }
        sleep(limits::GATHER).await;
    }
    Ok(())
}

async fn qos(channel: &Channel, prefetch: u16) -> Result<(), Lost> {
    answered(channel.basic_qos(prefetch, BasicQosOptions::default())).await
}

impl Receiving {
    /// Goes on until the inlet has left.
    pub(super) async fn run(self, mut session: Session) {
        let mut short = 0;
        loop {
            let since = Instant::now();
            self.arrived.connected(&session.data, session.prefetch.into());
            let ended = self.serve(&mut session).await;
            for channel in [Some(&session.data), session.control.as_ref().map(|control| &control.channel)] {
                if let Some(channel) = channel.filter(|channel| channel.status().connected()) {
                    let _ = timeout(Duration::from_secs(1), channel.close(200, "OK".into())).await;
                }
            }
            if ended {
                return;
            }
            self.arrived.disconnected();
            if !self.is_wanted().await {
                return self.arrived.end(Phase::Left);
            }
            tracing::debug!(queue = self.source.queue().as_str(), "an inlet connects again");
            short = if since.elapsed() < limits::SHORT { short + 1 } else { 0 };
            session = match self.reopen(short).await {
                Some(Ok(session)) => session,
                Some(Err(error)) => return self.arrived.end(Phase::Failed(error)),
                None => return self.arrived.end(Phase::Failed(TransportError::Closed)),
            };
        }
    }

    /// Whether anything is to be received, still; waits where everything was.
    async fn is_wanted(&self) -> bool {
        while self.arrived.has_ended() && !self.arrived.needs().is_leaving {
            tokio::select! {
                () = self.arrived.work.notified() => {}
                () = self.link.stopped() => break,
            }
        }
        !self.arrived.needs().is_leaving
    }

    async fn reopen(&self, short: u32) -> Option<TransportResult<Session>> {
        let leaving = async {
            while !self.arrived.needs().is_leaving {
                self.arrived.work.notified().await;
            }
        };
        tokio::select! {
            reopened = self.link.again(short, || open(&self.link, &self.source)) => reopened,
            () = leaving => None,
        }
    }

    /// Whether it has ended; otherwise the connection is lost.
    async fn serve(&self, session: &mut Session) -> bool {
        loop {
            match self.step(session).await {
                Step::Go => {}
                Step::Lost => return false,
                Step::Done => return true,
            }
        }
    }

    async fn step(&self, session: &mut Session) -> Step {
        let needs = self.arrived.needs();
        if needs.is_leaving {
            return self.leave(session).await;
        }
        // What was given to a consumer before this one is held, too, and takes none of its room: it has more than it needs, at most twice
        // as much as is held.
        let is_short = needs.held >= usize::from(session.prefetch) && session.prefetch < u16::MAX;
        if needs.is_drained && is_short && !session.is_over {
            return lost(&self.swap(session, true).await);
        }
        let has_ended = self.arrived.has_ended();
        let looks =
            session.is_over && needs.is_drained && (!has_ended || (needs.held == 0 && session.consumer.is_some()));
        let (look, used) = (session.look, session.used + limits::USED);
        let Session { consumer, control, .. } = session;
        tokio::select! {
            biased;
            batch = poll_fn(|cx| poll_batch(consumer, cx)), if consumer.is_some() => match batch {
                Some(batch) => self.take(session, batch),
                None => Step::Lost,
            },
            end = poll_fn(|cx| poll_end(control, cx)), if control.is_some() => match end {
                Some(tag) => self.over(session, tag).await,
                None => Step::Lost,
            },
            () = self.arrived.work.notified() => {
                session.delay = Duration::ZERO;
                if session.is_over { session.look = Instant::now(); }
                Step::Go
            }
            () = sleep_until(look), if looks => self.look(session).await,
            () = sleep(limits::GATHER), if needs.flush => {
                self.arrived.flush();
                Step::Go
            }
            () = sleep_until(used) => {
                session.used = Instant::now();
                lost(&self.source.count(&session.data).await)
            }
            () = self.link.stopped() => {
                self.arrived.flush();
                self.arrived.end(Phase::Failed(TransportError::Closed));
                Step::Done
            }
        }
    }

    fn take(&self, session: &mut Session, batch: Vec<Delivery>) -> Step {
        for delivery in batch {
            let Delivery { delivery_tag, redelivered, properties, data, .. } = delivery;
            if let (Source::PubSub(..), Some(id), Some(number)) =
                (&self.source, properties.app_id(), properties.timestamp())
            {
                if !session.is_next(id, *number) {
                    self.arrived.passed_over(delivery_tag, None);
                    continue;
                }
                if properties.kind().as_ref().is_some_and(|kind| kind.as_str() == END) {
                    self.arrived.passed_over(delivery_tag, None);
                    self.arrived.last();
                    continue;
                }
            }
            match Envelope::decode(&Bytes::from(data)) {
                Ok(envelope) => self.arrived.arrived(envelope, delivery_tag, redelivered),
                Err(error) => self.arrived.passed_over(delivery_tag, Some(error)),
            }
        }
        Step::Go
    }

    /// The last sender has closed.
    async fn over(&self, session: &mut Session, tag: u64) -> Step {
        let (Some(place), Some(control)) = (self.source.place(), &mut session.control) else { return Step::Go };
        control.end = Some(tag);
        session.is_over = true;
        session.look = Instant::now();
        self.arrived.over();
        let told = async {
            // One more for who comes later.
            if place.count_receivers(&control.channel).await?.ready == 0 {
                super::tell(&control.channel, &place.receivers).await?;
            }
            Ok::<_, Lost>(())
        };
        lost(&told.await)
    }

    /// Whether all was received. What was on its way here when it was counted has come before a consumer that is new then is confirmed:
    /// the broker's queue says both, in this order.
    async fn look(&self, session: &mut Session) -> Step {
        let looked = async {
            let Some(control) = &session.control else { return Ok(()) };
            let before = self.arrived.needs();
            let counts = match &self.source {
                // The queue of a subscriber is only its own.
                Source::PubSub(..) => Counts { consumers: 1, ..self.source.count(&control.channel).await? },
                _ => self.source.count(&control.channel).await?,
            };
            match (counts.ready, counts.consumers, session.consumer.is_some()) {
                (0, 0, false) => self.arrived.ended(),
                (0, 1, true) => {
                    self.swap(session, false).await?;
                    let after = self.arrived.needs();
                    if after.is_drained && after.came == before.came {
                        self.arrived.ended();
                    }
                }
                (0, _, true) if before.held == 0 => self.rest(session).await?,
                (1.., _, false) => self.swap(session, false).await?,
                _ => session.delay = (session.delay * 2).clamp(Duration::from_millis(2), limits::ROOM),
            }
            if self.arrived.has_ended() && self.arrived.needs().held == 0 && session.consumer.is_some() {
                // Others wait until nobody consumes.
                self.rest(session).await?;
            }
            Ok(())
        };
        let looked: Result<(), Lost> = looked.await;
        session.look = Instant::now() + session.delay;
        lost(&looked)
    }

    /// Consumes by another consumer, which has more room or is only new.
    ///
    /// The old one goes only then: others take it for the end when nobody consumes. While both are there the broker gives to one and
    /// the other in turn, and what order that was is said by its tags.
    async fn swap(&self, session: &mut Session, grows: bool) -> Result<(), Lost> {
        if grows {
            session.prefetch = session.prefetch.saturating_mul(2);
        }
        qos(&session.data, session.prefetch).await?;
        let mut new = Some(consume(&session.data, self.source.queue()).await?);
        let mut came = self.cancel(session).await?;
        came.extend(arrived_of(&mut new));
        came.sort_by_key(|delivery| delivery.delivery_tag);
        self.take(session, came);
        session.consumer = new;
        self.arrived.connected(&session.data, session.prefetch.into());
        Ok(())
    }

    /// Consumes no more, as it has nothing; if something has come just then, it goes on.
    async fn rest(&self, session: &mut Session) -> Result<(), Lost> {
        self.arrived.flush();
        let before = self.arrived.needs().came;
        let came = self.cancel(session).await?;
        self.take(session, came);
        if self.arrived.needs().came > before { self.swap(session, false).await } else { Ok(()) }
    }

    /// Ends the consumer; gives what came to it before that was confirmed.
    async fn cancel(&self, session: &mut Session) -> Result<Vec<Delivery>, Lost> {
        let Some(consumer) = session.consumer.take() else { return Ok(Vec::new()) };
        answered(session.data.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await?;
        Ok(arrived_of(&mut Some(consumer)))
    }

    async fn leave(&self, session: &mut Session) -> Step {
        self.arrived.flush();
        let left = async {
            let has_nothing = self.arrived.needs().held == 0 && self.arrived.has_ended();
            match &session.consumer {
                // The queue has the acknowledgements before this.
                Some(consumer) if has_nothing || !matches!(self.source, Source::Pipeline(_)) => {
                    answered(session.data.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await?;
                }
                // And before this. What was not acknowledged goes back when the channel closes, and until then it is seen that somebody
                // consumes.
                _ => self.source.count(&session.data).await.map(drop)?,
            }
            if let (Some(place), Some(control)) = (self.source.place(), &session.control)
                && has_nothing
            {
                clear(place, control).await?;
            }
            answered(session.data.close(200, "OK".into())).await
        };
        let left: Result<(), Lost> = tokio::select! {
            left = left => left,
            () = self.link.stopped() => Ok(()),
        };
        self.arrived.end(match left {
            Ok(()) => Phase::Left,
            Err(lost) => Phase::Failed(failed("leaving", lost)),
        });
        Step::Done
    }
}

/// Who was told the end and leaves last leaves nothing behind: the topic can begin anew.
async fn clear(place: &Place, control: &Control) -> Result<(), Lost> {
    let channel = &control.channel;
    answered(channel.basic_cancel(control.presence.tag(), BasicCancelOptions::default())).await?;
    if place.count_receivers(channel).await?.consumers > 0 {
        return Ok(());
    }
    if let Some(tag) = control.end {
        answered(channel.basic_ack(tag, BasicAckOptions::default())).await?;
    }
    answered(channel.queue_purge(place.receivers.clone(), QueuePurgeOptions::default())).await?;
    if place.topic.is_lasting() {
        return Ok(());
    }
    let unused = QueueDeleteOptions { if_unused: true, if_empty: true, nowait: false };
    for queue in [&place.name, &place.receivers, &place.senders] {
        // The broker refuses where someone has come in between: then it is his. Of a topic with subscribers the first is not there.
        if answered(channel.queue_delete(queue.clone(), unused)).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Session {
    /// Whether it is that publisher's next one. What comes before it has come twice; what comes after it comes again in its turn.
    fn is_next(&mut self, id: &ShortString, number: u64) -> bool {
        if let Some(next) = self.publishers.get_mut(id) {
            let is_next = *next == number;
            *next += u64::from(is_next);
            return is_next;
        }
        if self.publishers.len() >= limits::PUBLISHERS {
            self.publishers.clear();
        }
        self.publishers.insert(id.clone(), number + 1);
        true
    }
}

fn lost<T>(outcome: &Result<T, Lost>) -> Step {
    if outcome.is_ok() { Step::Go } else { Step::Lost }
}

/// Deliveries that are taken together, before others of this thread have their turn.
const BATCH: usize = 64;

/// What has come; none: the consumer has ended.
fn poll_batch(consumer: &mut Option<Consumer>, cx: &mut Context<'_>) -> Poll<Option<Vec<Delivery>>> {
    let Some(consumer) = consumer else { return Poll::Pending };
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        match Pin::new(&mut *consumer).poll_next(cx) {
            Poll::Ready(Some(Ok(delivery))) => batch.push(delivery),
            Poll::Ready(_) if batch.is_empty() => return Poll::Ready(None),
            Poll::Pending if batch.is_empty() => return Poll::Pending,
            // What ended says so again.
            _ => break,
        }
    }
    Poll::Ready(Some(batch))
}

/// All that has come.
fn arrived_of(consumer: &mut Option<Consumer>) -> Vec<Delivery> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(batch)) = poll_batch(consumer, &mut Context::from_waker(Waker::noop())) {
        all.extend(batch);
    }
    all
}

fn poll_end(control: &mut Option<Control>, cx: &mut Context<'_>) -> Poll<Option<u64>> {
    let Some(control) = control else { return Poll::Pending };
    pin!(&mut control.presence).poll_next(cx).map(|end| end.and_then(Result::ok).map(|end| end.delivery_tag))
}
