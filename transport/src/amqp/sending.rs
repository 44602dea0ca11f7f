//! The task that sends for an outlet: in order, over one connection after the other.
//!
//! A pipeline's sender asks how much waits before it sends more, so that the broker has no reason to refuse one of several that are on
//! their way, after which the next would overtake it. The queues of subscribers are known to nobody but them; there the broker does
//! refuse, and all from the refused one on is sent again, while subscribers pass over what is out of turn.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use lapin::options::{BasicCancelOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions};
use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, Consumer};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::link::{Link, Lost, answered, soft};
use super::outlet::{Pending, Phase};
use super::topology::{Place, consume};
use super::{END, Leaving, end_envelope, tell};
use crate::{Mode, TransportError, TransportResult, limits};

type Asked<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Flight = Asked<lapin::Result<Confirmation>>;

/// What sends for one outlet.
pub(super) struct Sending {
    pub(super) link: Arc<Link>,
    pub(super) place: Place,
    pub(super) pending: Arc<Pending>,
    pub(super) leaving: Arc<Leaving>,
    /// Tells what this outlet sends from what others do.
    pub(super) id: ShortString,
    /// How much could not be sent before the transport was closed.
    pub(super) unsent: Arc<AtomicUsize>,
    /// Its end is the end of the task.
    pub(super) gone: watch::Sender<()>,
}

/// What there is while a connection lasts.
pub(super) struct Session {
    channel: Channel,
    /// Counts as an open outlet.
    presence: Consumer,
    flights: VecDeque<Flight>,
    /// What became of the first ones of those that were on their way when one was refused.
    outcomes: Vec<bool>,
    /// Whether one was refused, and nothing more is sent until what is on its way has arrived.
    is_refused: bool,
    /// So many may be sent before it is asked for room again.
    credit: usize,
    granted: usize,
    /// How much waits, with how many senders.
    asked: Option<Asked<Result<(usize, usize), Lost>>>,
    sent_since: usize,
    /// Nothing is sent before.
    not_before: Instant,
    delay: Duration,
    used: Instant,
    has_confirmed: bool,
    /// Why the broker closed the channel, if it was for something that was done there.
    closed_for: Option<String>,
    /// Before, another connection was lost: others may have lost theirs, too, and are back only then.
    all_back: Instant,
}

enum Step {
    Go,
    Lost,
    Done,
}

/// Opens a session: what was declared before is there, and whoever counts open outlets counts this one.
pub(super) async fn open(link: &Link, place: &Place, is_new: bool) -> TransportResult<Session> {
    let channel = link.channel().await?;
    let counts = place.declare(&channel).await.map_err(place.failed("declaring the topic"))?;
    let set_up = async {
        answered(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        place.count_senders(&channel).await?;
        consume(&channel, &place.senders).await
    };
    let presence = set_up.await.map_err(place.failed("opening an outlet"))?;
    if is_new {
        // Now that nobody else takes himself for the last one.
        begin(&channel, place, counts.ready).await?;
    }
    Ok(Session {
        channel,
        presence,
        flights: VecDeque::new(),
        outcomes: Vec::new(),
        is_refused: false,
        credit: 0,
        granted: 0,
        asked: None,
        sent_since: 0,
        not_before: Instant::now(),
        delay: Duration::ZERO,
        used: Instant::now(),
        has_confirmed: false,
        closed_for: None,
        all_back: if is_new { Instant::now() } else { Instant::now() + limits::RECONNECT_MOST },
    })
}

/// What has ended takes nothing while anyone receives from it, or something of it waits; otherwise it begins anew.
async fn begin(channel: &Channel, place: &Place, ready: usize) -> TransportResult<()> {
    let ends = place.count_receivers(channel).await.map_err(place.failed("opening an outlet"))?;
    if ends.ready == 0 {
        return Ok(());
    }
    if ends.consumers > 0 || ready > 0 {
        return Err(TransportError::Ended { topic: place.topic.name().to_owned() });
    }
    let purged = answered(channel.queue_purge(place.receivers.clone(), QueuePurgeOptions::default())).await;
    purged.map(drop).map_err(place.failed("beginning a topic anew"))
}

impl Sending {
    /// Goes on until the outlet has ended.
    pub(super) async fn run(self, session: Session) {
        let dropped = async {
            self.pending.dropped().await;
            sleep(limits::LINGER).await;
        };
        tokio::select! {
            () = self.sessions(session) => {}
            () = dropped => {
                let (topic, lost) = (self.place.topic.name(), self.pending.len());
                tracing::warn!(topic, lost, "what was sent before an outlet was dropped finds no way");
            }
        }
        drop(self.gone);
    }

    async fn sessions(&self, mut session: Session) {
        let (mut short, mut strikes) = (0, 0);
        loop {
            let since = Instant::now();
            let ended = self.serve(&mut session).await;
            let _ = timeout(Duration::from_secs(1), session.channel.close(200, "OK".into())).await;
            if ended {
                return;
            }
            if matches!(self.pending.phase(), Phase::Dropped) && self.pending.len() == 0 {
                return self.pending.end(Phase::Closed);
            }
            strikes = if session.has_confirmed { 0 } else { strikes };
            if let Some(reason) = session.closed_for.take() {
                strikes += 1;
                if strikes >= limits::STRIKES {
                    return self.pending.end(Phase::Failed(TransportError::Refused { what: "an envelope", reason }));
                }
            }
            tracing::debug!(topic = self.place.topic.name(), "an outlet connects again");
            short = if since.elapsed() < limits::SHORT { short + 1 } else { 0 };
            session = match self.link.again(short, || open(&self.link, &self.place, false)).await {
                Some(Ok(session)) => session,
                Some(Err(error)) => return self.pending.end(Phase::Failed(error)),
                None => return self.pending.end(Phase::Failed(TransportError::Closed)),
            };
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
        if !self.fill(session) {
            return Step::Lost;
        }
        let (length, phase) = (self.pending.len(), self.pending.phase());
        if length == 0 && !matches!(phase, Phase::Open) {
            return self.leave(session, &phase).await;
        }
        self.ask(session, length);
        let waits = length > session.flights.len() && Instant::now() < session.not_before;
        let (not_before, used) = (session.not_before, session.used + limits::USED);
        let Session { flights, asked, presence, .. } = session;
        tokio::select! {
            biased;
            landed = poll_fn(|cx| landed(flights, cx)), if !flights.is_empty() => self.landed(session, landed),
            () = self.pending.work.notified() => Step::Go,
            counted = poll_fn(|cx| poll_asked(asked, cx)), if asked.is_some() => self.counted(session, counted),
            gone = poll_fn(|cx| Pin::new(&mut *presence).poll_next(cx)) => match gone {
                // Nothing is ever sent there.
                Some(Ok(_)) => Step::Go,
                Some(Err(error)) => session.lost(&error.into()),
                None => Step::Lost,
            },
            () = sleep_until(not_before), if waits => Step::Go,
            () = sleep_until(used) => self.use_it(session).await,
            () = self.link.stopped() => self.stop(session).await,
        }
    }

    /// Sends as much as may be. False: the channel is gone.
    fn fill(&self, session: &mut Session) -> bool {
        if session.is_refused || Instant::now() < session.not_before {
            return true;
        }
        while session.credit > 0 && session.flights.len() < self.pending.window() {
            let Some((number, body)) = self.pending.at(session.flights.len()) else { break };
            let mut flight = self.publish(&session.channel, number, body, false);
            match flight.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => session.flights.push_back(flight),
                Poll::Ready(Ok(done)) => session.flights.push_back(Box::pin(std::future::ready(Ok(done)))),
                Poll::Ready(Err(_)) => return false,
            }
            session.credit -= 1;
            session.sent_since += 1;
        }
        true
    }

    fn publish(&self, channel: &Channel, number: u64, body: Bytes, is_end: bool) -> Flight {
        let (channel, name) = (channel.clone(), self.place.name.clone());
        let mut properties = self.place.properties().with_app_id(self.id.clone()).with_timestamp(number);
        if is_end {
            properties = properties.with_type(END.into());
        }
        // Who publishes need not have subscribers.
        let mandatory = self.place.mode() == Mode::Pipeline;
        Box::pin(async move {
            let options = BasicPublishOptions { mandatory, immediate: false };
            channel.basic_publish(name.clone(), name, options, &body, properties).await?.await
        })
    }

    /// Asks for room before there is none.
    fn ask(&self, session: &mut Session, length: usize) {
        let wanted = length > session.flights.len() && session.credit <= session.granted / 2;
        if !wanted || session.asked.is_some() || session.is_refused || Instant::now() < session.not_before {
            return;
        }
        if self.place.mode() == Mode::PubSub {
            // It learns by what is refused: after that, one at a time, and then more and more.
            if session.credit == 0 && session.flights.is_empty() {
                session.granted = (session.granted * 2).clamp(1, self.pending.window());
                session.credit = session.granted;
                self.pending.work.notify_one();
            }
            return;
        }
        session.sent_since = 0;
        let (place, channel) = (self.place.clone(), session.channel.clone());
        session.asked = Some(Box::pin(async move {
            let senders = place.count_senders(&channel).await?.consumers;
            Ok((place.count(&channel).await?.ready, senders))
        }));
    }

    fn counted(&self, session: &mut Session, counted: Result<(usize, usize), Lost>) -> Step {
        let (ready, senders) = match counted {
            Ok(counts) => counts,
            Err(lost) => return session.lost(&lost),
        };
        let room = self.place.topic.capacity().saturating_sub(ready);
        // One alone is never overtaken: it may be refused.
        let share = if room == 0 { 0 } else { (room / senders.max(1)).max(1) };
        session.credit = share.saturating_sub(session.sent_since);
        session.granted = share;
        if session.credit == 0 {
            session.wait();
        }
        Step::Go
    }

    /// What is first on its way has arrived, or was refused, or the channel is gone.
    ///
    /// A message that came back is in the confirmation of *some* message of the same acknowledgement, and lapin goes through those in no
    /// order. So all that are there are looked at before any counts, and lapin is waited for, should it be in the midst of them.
    fn landed(&self, session: &mut Session, mut landed: Vec<lapin::Result<Confirmation>>) -> Step {
        let mut nobody = Context::from_waker(Waker::noop());
        // Its first step takes the lock that lapin holds while it goes through an acknowledgement; what it gives is not of interest.
        let _ = pin!(session.channel.wait_for_confirms()).poll(&mut nobody);
        if let Poll::Ready(more) = self::landed(&mut session.flights, &mut nobody) {
            landed.extend(more);
        }
        let mut outcomes = Vec::with_capacity(landed.len());
        for confirmation in landed {
            let confirmation = match confirmation {
                Ok(confirmation) => confirmation,
                Err(error) => return session.lost(&error.into()),
            };
            outcomes.push(confirmation.is_ack());
            if confirmation.take_message().is_some() {
                // The queue is gone, and what was on its way is sent again once it is declared.
                tracing::debug!(topic = self.place.topic.name(), "the queue is gone, and is declared again");
                return Step::Lost;
            }
        }
        for confirmed in outcomes {
            if confirmed && !session.is_refused {
                self.pending.confirmed();
                session.has_confirmed = true;
                session.delay = Duration::ZERO;
            } else {
                session.is_refused = true;
                session.outcomes.push(confirmed);
            }
        }
        if session.is_refused && session.flights.is_empty() {
            self.refused(session);
        }
        Step::Go
    }

    /// All that was on its way when one was refused has arrived or was refused, too.
    fn refused(&self, session: &mut Session) {
        let outcomes = std::mem::take(&mut session.outcomes);
        if self.place.mode() == Mode::Pipeline {
            if outcomes.iter().any(|confirmed| *confirmed) {
                tracing::warn!(topic = self.place.topic.name(), "the broker refused one and took a later one");
            }
            self.pending.confirmed_of(&outcomes);
        }
        session.is_refused = false;
        (session.credit, session.granted) = (0, 0);
        session.wait();
    }

    /// Says that the topic is in use, and looks whether the broker is.
    async fn use_it(&self, session: &mut Session) -> Step {
        session.used = Instant::now();
        let counted = match self.place.mode() {
            Mode::Pipeline => self.place.count(&session.channel).await,
            Mode::PubSub => self.place.count_senders(&session.channel).await,
        };
        if counted.is_ok() { Step::Go } else { Step::Lost }
    }

    /// The transport closes: what is on its way is waited for, what waits for room is not sent.
    async fn stop(&self, session: &mut Session) -> Step {
        let landing = async {
            while !session.flights.is_empty() {
                let outcomes = poll_fn(|cx| landed(&mut session.flights, cx)).await;
                if !matches!(self.landed(session, outcomes), Step::Go) || session.is_refused {
                    break;
                }
            }
        };
        let _ = timeout(limits::LEAVE, landing).await;
        self.unsent.fetch_add(self.pending.len(), Ordering::SeqCst);
        self.pending.end(Phase::Failed(TransportError::Closed));
        Step::Done
    }

    /// All is confirmed, and nothing comes any more.
    async fn leave(&self, session: &mut Session, phase: &Phase) -> Step {
        let (channel, presence) = (&session.channel, session.presence.tag());
        let all_back = if matches!(phase, Phase::Closing) { session.all_back } else { Instant::now() };
        let left = async {
            sleep_until(all_back).await;
            answered(channel.basic_cancel(presence, BasicCancelOptions::default())).await?;
            if !matches!(phase, Phase::Closing) {
                return Ok(());
            }
            // Others that were dropped here may be still on their way out.
            self.leaving.others(self.place.topic.name()).await;
            if self.place.count_senders(channel).await?.consumers > 0 {
                return Ok(());
            }
            self.tell_end(channel).await
        };
        let left: Result<(), Lost> = tokio::select! {
            left = left => left,
            () = self.link.stopped() => {
                self.pending.end(Phase::Failed(TransportError::Closed));
                return Step::Done;
            }
        };
        match left {
            Ok(()) => {
                self.pending.end(Phase::Closed);
                Step::Done
            }
            Err(_) => Step::Lost,
        }
    }

    /// The last one has closed: each inlet is told, and one that comes later.
    async fn tell_end(&self, channel: &Channel) -> Result<(), Lost> {
        let receivers = self.place.count_receivers(channel).await?.consumers;
        if self.place.mode() == Mode::PubSub {
            if receivers == 0 {
                return self.clear(channel).await;
            }
            let mut delay = limits::RECONNECT_LEAST / 10;
            while !answered(self.publish(channel, self.pending.last_number(), end_envelope(), true)).await?.is_ack() {
                sleep(delay).await;
                delay = (delay * 2).min(limits::ROOM);
            }
        }
        for _ in 0..=receivers {
            tell(channel, &self.place.receivers).await?;
        }
        Ok(())
    }

    /// Nobody was there: nothing is left behind.
    async fn clear(&self, channel: &Channel) -> Result<(), Lost> {
        if self.place.topic.is_lasting() {
            return Ok(());
        }
        let unused = QueueDeleteOptions { if_unused: true, ..QueueDeleteOptions::default() };
        let deleted = async {
            answered(channel.queue_delete(self.place.receivers.clone(), unused)).await?;
            answered(channel.queue_delete(self.place.senders.clone(), unused)).await?;
            let unused = ExchangeDeleteOptions { if_unused: true, ..ExchangeDeleteOptions::default() };
            answered(channel.exchange_delete(self.place.name.clone(), unused)).await
        };
        // Someone has come in between: then it is his.
        let _: Result<(), Lost> = deleted.await;
        Ok(())
    }
}

impl Session {
    /// Perhaps for what was sent: a body that is too large for the broker.
    fn lost(&mut self, lost: &Lost) -> Step {
        self.closed_for = soft(lost).map(|(_, reason)| reason);
        Step::Lost
    }

    /// Waits a little before it tries again.
    fn wait(&mut self) {
        self.delay = (self.delay * 2).clamp(Duration::from_millis(1), limits::ROOM);
        self.not_before = Instant::now() + self.delay;
    }
}

/// All of the first ones that are there, one at least.
fn landed(flights: &mut VecDeque<Flight>, cx: &mut Context<'_>) -> Poll<Vec<lapin::Result<Confirmation>>> {
    let mut landed = Vec::new();
    while let Some(flight) = flights.front_mut()
        && let Poll::Ready(outcome) = flight.as_mut().poll(cx)
    {
        landed.push(outcome);
        flights.pop_front();
    }
    if landed.is_empty() { Poll::Pending } else { Poll::Ready(landed) }
}

fn poll_asked<T>(asked: &mut Option<Asked<T>>, cx: &mut Context<'_>) -> Poll<T> {
    let Some(asking) = asked else { return Poll::Pending };
    let Poll::Ready(answer) = pin!(asking).poll(cx) else { return Poll::Pending };
    *asked = None;
    Poll::Ready(answer)
}
