//! Who is there: handshakes, notices of the registry, and what follows when a peer is lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::calls::Why;
use super::core::{Core, lock};
use super::protocol::{
    self, BYE, CONNECT, Change, DISCONNECT, DROP, Fault, HAND, HEART, MEET, STOP, Shake, UNKNOWN, Who,
};
use super::table::Known;
use super::{MeshError, MeshEvent, MeshResult};
use crate::{Content, Envelope, Kind};

/// So many peers are told something at once.
const TOLD_AT_ONCE: usize = 64;
/// How long one that goes waits for others to be told.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long it waits after the first attempt to be let in.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Where the registry is.
#[derive(Default)]
pub(super) struct Home {
    /// As it was given.
    address: Option<Arc<str>>,
    /// As it said.
    known: Option<Arc<Known>>,
    /// Whether it is joined again when it is lost.
    is_kept: bool,
}

/// How a peer went.
#[derive(Clone, Copy)]
pub(super) enum Gone<'a> {
    /// It said so, or it was meant to.
    Left,
    /// Nobody hears it any more.
    Lost(&'a str),
}

/// Reads what a notice says; where it says nothing, nothing is done.
fn said<T: DeserializeOwned>(envelope: &Envelope) -> Option<T> {
    let said = protocol::read("a notice", &envelope.body);
    said.inspect_err(|error| debug!(from = %envelope.sender, %error, "a notice was not understood")).ok()
}

impl Core {
    /// What concerns the mesh itself.
    pub(super) fn own(self: &Arc<Self>, known: Option<Arc<Known>>, envelope: Envelope) {
        let is_registry = |known: &Option<Arc<Known>>| {
            let home = lock(&self.home);
            known.as_ref().zip(home.known.as_ref()).is_some_and(|(known, home)| Arc::ptr_eq(known, home))
        };
        match (&*envelope.subject, known) {
            (HAND, _) => {
                let core = Arc::clone(self);
                self.chore(async move {
                    let shake = core.hand(&envelope).await;
                    core.answer(&envelope, shake).await;
                });
            }
            (MEET, _) => self.met(&envelope),
            // M36; a node that is known to nobody has no heart.
            (HEART, Some(_)) => {
                let core = Arc::clone(self);
                self.chore(async move { core.answer(&envelope, Ok(Bytes::new())).await });
            }
            (CONNECT, known) if is_registry(&known) => self.told_of(&envelope),
            (DISCONNECT, known) if is_registry(&known) => self.told_gone(&envelope),
            (UNKNOWN, known) if is_registry(&known) => {
                if let Some(known) = known {
                    known.shaken(false);
                    self.changed();
                }
            }
            (STOP, known) if is_registry(&known) => {
                let core = Arc::clone(self);
                // Not one of its own tasks, as it ends them.
                tokio::spawn(async move { core.leave().await });
            }
            (BYE, Some(known)) => self.lose(&known, Gone::Left),
            (DROP, Some(_)) if self.options.is_registry => {
                if let Some(gone) = said::<Who>(&envelope) {
                    let gone = lock(&self.table).get(gone.uid.as_str()).cloned();
                    if let Some(gone) = gone {
                        self.lose(&gone, Gone::Left);
                    }
                }
            }
            (_, None) => self.stranger_of(&envelope),
            (subject, Some(known)) => debug!(%subject, from = %known.who.uid, "a notice is not for this runtime"),
        }
    }

    fn stranger_of(self: &Arc<Self>, envelope: &Envelope) {
        // Whoever goes needs no answer, and an answer to one of these would be one to an answer.
        if ![BYE, UNKNOWN, STOP, CONNECT, DISCONNECT].contains(&&*envelope.subject) {
            self.stranger(envelope);
        }
    }

    /// Lets someone in, and tells all others (M26).
    async fn hand(self: &Arc<Self>, envelope: &Envelope) -> Result<Bytes, Fault> {
        let refused = |reason: String| Fault::Refused { reason };
        let who: Who = protocol::read("a hand", &envelope.body).map_err(|error| refused(error.to_string()))?;
        if !self.options.is_registry {
            return Err(refused(format!("`{}` is not the registry", self.who.uid)));
        }
        if who.address != envelope.sender || who.uid == self.who.uid {
            return Err(refused(format!("nobody else is `{}` at `{}`", who.uid, who.address)));
        }
        let before = lock(&self.table).get(who.uid.as_str()).filter(|known| known.is_live()).cloned();
        if let Some(before) = before.filter(|before| before.who != who) {
            // One that came back elsewhere is let in (M37); another of the same name is not.
            if before.who.address != who.address && self.answers(&before).await {
                return Err(refused(format!("`{}` is at `{}`", who.uid, before.who.address)));
            }
            self.lose(&before, Gone::Lost("another came in its place"));
        }
        self.evict(&who);
        let (is_new, shake) = {
            let mut table = lock(&self.table);
            let is_new = !table.get(who.uid.as_str()).is_some_and(|known| known.is_live() && known.who == who);
            if is_new {
                let known = Arc::new(Known::new(who.clone(), true));
                table.add(&known).map_err(|error| refused(error.to_string()))?;
                table.change += 1;
                self.watch_over(&known);
            }
            let network = table.all().iter().map(|known| known.who.clone()).collect();
            (is_new, Shake { registry: self.who.clone(), network, change: table.change })
        };
        if is_new {
            self.changed();
            self.event(MeshEvent::Joined { uid: who.uid.clone() });
            let change = Change { who, number: shake.change, lost: false };
            self.tell_all(CONNECT, &change);
        }
        protocol::write("a shake", &shake).map_err(|error| refused(error.to_string()))
    }

    /// One that was known by the uid or at the address of another is gone.
    fn evict(self: &Arc<Self>, who: &Who) {
        let others: Vec<_> = {
            let table = lock(&self.table);
            [table.get(who.uid.as_str()), table.at(&who.address)].into_iter().flatten().cloned().collect()
        };
        for other in others.iter().filter(|other| other.who != *who) {
            self.lose(other, Gone::Lost("another came in its place"));
        }
    }

    /// Someone is there: it is known from now on, and shaken when it was met. Returned where that is to be done.
    fn learn(self: &Arc<Self>, who: Who, is_shaken: bool) -> Option<Arc<Known>> {
        if who.uid == self.who.uid || who.address == self.who.address {
            return None;
        }
        self.evict(&who);
        let mut table = lock(&self.table);
        if let Some(known) = table.get(who.uid.as_str()).filter(|known| known.is_live()).cloned() {
            drop(table);
            if is_shaken {
                self.shaken(&known);
            }
            return (!known.is_shaken()).then_some(known);
        }
        let known = Arc::new(Known::new(who, false));
        if let Err(error) = table.add(&known) {
            debug!(%error, uid = %known.who.uid, "a runtime was not taken up");
            return None;
        }
        drop(table);
        if is_shaken {
            self.shaken(&known);
        }
        Some(known)
    }

    fn shaken(&self, known: &Arc<Known>) {
        if known.is_live() && !known.is_shaken() {
            known.shaken(true);
            self.event(MeshEvent::Joined { uid: known.who.uid.clone() });
        }
        self.changed();
    }

    /// The registry has answered (M27). This is done where the answer comes in, so that no notice after it is missed.
    pub(super) fn shake(self: &Arc<Self>, envelope: &Envelope) -> Result<(), Why> {
        let refused = |reason: String| Why::Fault(Fault::Refused { reason });
        let shake: Shake = protocol::read("a shake", &envelope.body).map_err(|error| refused(error.to_string()))?;
        if shake.registry.address != envelope.sender {
            return Err(refused(format!("`{}` is not the registry", envelope.sender)));
        }
        lock(&self.table).begin(shake.change);
        let registry = shake.registry.clone();
        self.learn(shake.registry, true);
        for who in shake.network {
            self.learn(who, false);
        }
        let known = lock(&self.table).get(registry.uid.as_str()).cloned();
        let is_new = {
            let mut home = lock(&self.home);
            let before = std::mem::replace(&mut home.known, known.clone());
            known.filter(|known| !before.is_some_and(|before| Arc::ptr_eq(&before, known)))
        };
        if let Some(known) = is_new {
            self.watch_over(&known);
        }
        Ok(())
    }

    /// Says who one is, before anything else.
    pub(super) async fn meet(self: &Arc<Self>, known: &Arc<Known>) -> MeshResult<()> {
        let body = protocol::write("a notice", &self.who)?;
        self.post(&known.who.address, protocol::notice(MEET, &self.who.address, body)).await?;
        self.shaken(known);
        Ok(())
    }

    /// Meets all who were not.
    async fn meet_all(self: &Arc<Self>) {
        let others = lock(&self.table).all();
        let mut meetings = JoinSet::new();
        for known in others.into_iter().filter(|known| !known.is_shaken()) {
            if meetings.len() >= TOLD_AT_ONCE {
                meetings.join_next().await;
            }
            let core = Arc::clone(self);
            meetings.spawn(async move { core.meet_or_lose(&known).await });
        }
        while meetings.join_next().await.is_some() {}
    }

    async fn meet_or_lose(self: &Arc<Self>, known: &Arc<Known>) {
        if let Err(error) = self.meet(known).await
            && !known.is_shaken()
        {
            debug!(uid = %known.who.uid, %error, "a runtime was not met");
            self.lose(known, Gone::Lost("it was not reached"));
        }
    }

    /// Someone says who it is.
    fn met(self: &Arc<Self>, envelope: &Envelope) {
        if let Some(who) = said::<Who>(envelope).filter(|who| who.address == envelope.sender) {
            // Into the registry there is but one way.
            if !self.options.is_registry {
                self.learn(who, true);
            }
        }
    }

    /// The registry says that someone has come (M28).
    fn told_of(self: &Arc<Self>, envelope: &Envelope) {
        let Some(change) = said::<Change>(envelope) else { return };
        if !lock(&self.table).is_news(&change.who.uid, change.number) {
            return;
        }
        if let Some(known) = self.learn(change.who, false) {
            let core = Arc::clone(self);
            self.chore(async move { core.meet_or_lose(&known).await });
        }
    }

    /// The registry says that someone has gone.
    fn told_gone(self: &Arc<Self>, envelope: &Envelope) {
        let Some(change) = said::<Change>(envelope) else { return };
        let known = {
            let mut table = lock(&self.table);
            let is_news = table.is_news(&change.who.uid, change.number);
            table.get(change.who.uid.as_str()).filter(|known| is_news && known.who == change.who).cloned()
        };
        if let Some(known) = known {
            let gone = if change.lost { Gone::Lost("the registry does not hear it any more") } else { Gone::Left };
            self.lose(&known, gone);
        }
    }

    /// A peer is not there any more: its calls fail, others are told, a node takes its workers with it (M32).
    pub(super) fn lose(self: &Arc<Self>, known: &Arc<Known>, gone: Gone<'_>) {
        let is_shaken = known.is_shaken();
        let number = {
            let mut table = lock(&self.table);
            if !table.take(known) {
                return;
            }
            table.change += u64::from(self.options.is_registry);
            table.change
        };
        self.calls.lose(known);
        let uid = known.who.uid.clone();
        if is_shaken {
            self.event(match gone {
                Gone::Left => MeshEvent::Left { uid: uid.clone() },
                Gone::Lost(why) => MeshEvent::Lost { uid: uid.clone(), why: why.to_owned() },
            });
        }
        self.changed();
        if self.options.is_registry {
            let change = Change { who: known.who.clone(), number, lost: matches!(gone, Gone::Lost(_)) };
            self.tell_all(DISCONNECT, &change);
        }
        let workers = lock(&self.table).all();
        for worker in workers.iter().filter(|worker| worker.who.uid.is_worker_of(&uid)) {
            self.lose(worker, gone);
        }
    }

    /// A peer may be lost: it is asked, and lost if it does not answer.
    pub(super) fn suspect(self: &Arc<Self>, known: &Arc<Known>, why: &'static str) {
        use std::sync::atomic::Ordering::SeqCst;
        if !known.is_live() || known.is_suspect.swap(true, SeqCst) {
            return;
        }
        let (core, known) = (Arc::clone(self), Arc::clone(known));
        self.spawn(async move {
            let answers = core.answers(&known).await;
            known.is_suspect.store(false, SeqCst);
            if !answers {
                core.lose(&known, Gone::Lost(why));
            }
        });
    }

    fn event(&self, event: MeshEvent) {
        // Nobody need listen.
        let _ = self.events.send(event);
    }

    /// Tells all peers but whom it is about.
    fn tell_all(self: &Arc<Self>, subject: &'static str, change: &Change) {
        let Ok(body) = protocol::write("a notice", change) else { return };
        let others = lock(&self.table).all().into_iter().filter(|known| known.who != change.who).collect();
        let core = Arc::clone(self);
        self.spawn(async move { core.tell(others, subject, body).await });
    }

    async fn tell(self: &Arc<Self>, others: Vec<Arc<Known>>, subject: &'static str, body: Bytes) {
        let mut posts = JoinSet::new();
        for known in others {
            if posts.len() >= TOLD_AT_ONCE {
                posts.join_next().await;
            }
            let (core, notice) = (Arc::clone(self), protocol::notice(subject, &self.who.address, body.clone()));
            posts.spawn(async move {
                if let Err(error) = core.post(&known.who.address, notice).await {
                    debug!(uid = %known.who.uid, %error, "a runtime was not told");
                }
            });
        }
        while posts.join_next().await.is_some() {}
    }

    /// Asks a registry to be let in, until it does or `within` is over (M25).
    pub(super) async fn join(self: &Arc<Self>, registry: &str, within: Duration) -> MeshResult<()> {
        lock(&self.home).address = Some(registry.into());
        let until = Instant::now() + within;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let error = match timeout(left.min(self.options.rejoin), self.ask_in(registry)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            self.running()?;
            let late = Instant::now() + pause >= until;
            match error {
                Some(error) if late || !error.is_retryable() => return Err(error),
                None if late => {
                    return Err(MeshError::Deadline { what: format!("joining `{registry}`"), deadline: within });
                }
                _ => sleep(pause).await,
            }
            pause = (pause * 2).min(self.options.rejoin);
        }
    }

    /// One attempt.
    async fn ask_in(self: &Arc<Self>, registry: &str) -> MeshResult<()> {
        let mut call = self.calls.begin(None).ok_or_else(|| MeshError::Busy { uid: self.who.uid.clone() })?;
        let body = protocol::write("a hand", &self.who)?;
        let sender = Arc::clone(&self.who.address);
        let hand = Envelope {
            subject: HAND.into(),
            correlation: call.id,
            ..Envelope::new(Kind::Call, sender, Content::Json, body)
        };
        self.post(registry, hand).await?;
        match (&mut call.answer).await {
            Ok(Ok(_)) => {}
            Ok(Err(Why::Fault(Fault::Refused { reason }))) => {
                return Err(MeshError::Refused { what: "joining the mesh", reason });
            }
            Ok(Err(Why::Fault(fault))) => return Err(fault.into_error(&self.who.uid, HAND, None)),
            Ok(Err(Why::Lost | Why::Stopped)) | Err(_) => return Err(MeshError::Stopped),
        }
        self.meet_all().await;
        Ok(())
    }

    /// Whether it is to be kept joined from now on.
    pub(super) fn is_first_join(&self) -> bool {
        !std::mem::replace(&mut lock(&self.home).is_kept, true)
    }

    /// Joins anew whenever the registry is lost, or does not know this runtime any more.
    pub(super) async fn keep_joined(self: Arc<Self>) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let home = {
                let home = lock(&self.home);
                home.address.clone().filter(|_| !home.known.as_ref().is_some_and(|known| known.is_shaken()))
            };
            if let Some(address) = home {
                if let Err(error) = self.join(&address, self.options.rejoin).await {
                    debug!(uid = %self.who.uid, %error, "the registry was not joined again");
                    sleep(FIRST_PAUSE.max(self.options.rejoin / 10)).await;
                }
            } else if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Says that it goes, and stops.
    pub(super) async fn leave(self: &Arc<Self>) {
        if !self.is_stopped() {
            let others = lock(&self.table).all();
            // Whoever is not told now finds out.
            let _ = timeout(FAREWELL, self.tell(others, BYE, Bytes::new())).await;
        }
        self.stop();
        self.ended().await;
    }

    /// Gives a peer up; with `notify` all others do, too.
    pub(super) async fn disconnect(self: &Arc<Self>, uid: &str, notify: bool) -> MeshResult<()> {
        self.running()?;
        let known = lock(&self.table).live(uid)?.clone();
        let home = lock(&self.home).known.clone();
        self.lose(&known, Gone::Left);
        match home {
            // The registry tells all in any case.
            Some(home) if notify => {
                let body = protocol::write("a notice", &known.who)?;
                self.post(&home.who.address, protocol::notice(DROP, &self.who.address, body)).await
            }
            _ => Ok(()),
        }
    }
}
