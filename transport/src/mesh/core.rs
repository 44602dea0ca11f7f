//! What all parts of a runtime's mesh share, and what it does with what comes.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::builder::Options;
use super::calls::{Answer, Calls, Why};
use super::membership::Home;
use super::methods::{Caller, Handler, Methods, nearest};
use super::protocol::{self, Fault, HEART, ID, KIND, OWN, Who};
use super::table::{Known, Table};
use super::{MeshError, MeshEvent, MeshResult, Uid};
use crate::{Content, Envelope, Kind, Taker, Transport, TransportErrorKind, limits};

pub(super) struct Core {
    pub(super) who: Who,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) options: Options,
    pub(super) methods: Methods,
    pub(super) objects: RwLock<BTreeMap<String, BTreeMap<String, Methods>>>,
    pub(super) table: Mutex<Table>,
    pub(super) calls: Calls,
    /// Counts changes of the table, for those who wait for one.
    pub(super) changed: watch::Sender<u64>,
    pub(super) events: broadcast::Sender<MeshEvent>,
    pub(super) home: Mutex<Home>,
    pub(super) mailbox: Mutex<Option<Box<dyn Any + Send + Sync>>>,
    handlers: Arc<Semaphore>,
    chores: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
    is_stopped: AtomicBool,
    refused: AtomicU64,
}

/// What is asked of a runtime.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Of what kind, and which.
    pub(super) object: Option<(&'a str, &'a str)>,
    pub(super) method: &'a str,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what comes for a runtime, as long as there is one.
pub(super) struct Door(pub(super) Weak<Core>);

impl Taker for Door {
    fn take(&self, envelope: Envelope) {
        if let Some(core) = self.0.upgrade() {
            core.take(envelope);
        }
    }
}

impl Core {
    pub(super) fn new(who: Who, transport: Arc<dyn Transport>, options: Options, methods: Methods) -> Self {
        Self {
            who,
            transport,
            methods,
            objects: RwLock::default(),
            table: Mutex::default(),
            calls: Calls::new(options.calls),
            changed: watch::Sender::new(0),
            events: broadcast::Sender::new(limits::MESH_EVENTS),
            home: Mutex::default(),
            mailbox: Mutex::default(),
            handlers: Arc::new(Semaphore::new(options.handlers.min(Semaphore::MAX_PERMITS))),
            chores: Arc::new(Semaphore::new(limits::MESH_CHORES)),
            options,
            tasks: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn running(&self) -> MeshResult<()> {
        if self.is_stopped() { Err(MeshError::Stopped) } else { Ok(()) }
    }

    pub(super) fn changed(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Runs something until the mesh is stopped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        if !self.is_stopped() {
            tasks.spawn(task);
        }
    }

    /// Runs something of the mesh's own; beyond the bound it is left out, as whoever waits for it has a deadline.
    pub(super) fn chore(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(permit) = Arc::clone(&self.chores).try_acquire_owned() {
            self.spawn(async move {
                task.await;
                drop(permit);
            });
        } else {
            warn!(uid = %self.who.uid, "too much is asked at once; something was left out");
        }
    }

    /// Stops at once; whether it had not been.
    pub(super) fn stop(&self) -> bool {
        if self.is_stopped.swap(true, Ordering::SeqCst) {
            return false;
        }
        drop(lock(&self.mailbox).take());
        lock(&self.tasks).abort_all();
        self.calls.stop();
        self.changed();
        true
    }

    /// Waits until nothing of it runs any more, and its mailbox is free, after [`stop`](Self::stop).
    pub(super) async fn ended(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    /// Deals with what has come; without waiting, and in the order in which it came as far as the table goes.
    pub(super) fn take(self: &Arc<Self>, envelope: Envelope) {
        if self.is_stopped() {
            return;
        }
        let known = lock(&self.table).at(&envelope.sender).cloned();
        if let Some(known) = &known {
            known.beats();
        }
        match envelope.kind {
            Kind::Reply if self.calls.is_hand(envelope.correlation) => {
                let shaken = self.shake(&envelope);
                self.calls.end(envelope.correlation, &envelope.sender, shaken.map(|()| envelope.body));
            }
            Kind::Reply => self.calls.end(envelope.correlation, &envelope.sender, Ok(envelope.body)),
            Kind::Fault => {
                let fault = protocol::read("a fault", &envelope.body);
                let fault = fault.unwrap_or_else(|error| Fault::Failed { message: error.to_string() });
                self.calls.end(envelope.correlation, &envelope.sender, Err(Why::Fault(fault)));
            }
            Kind::Lost => {
                if let Some(known) = known {
                    self.calls.lose(&known);
                    self.suspect(&known, "its connection was lost");
                }
            }
            Kind::Call | Kind::Notice if envelope.subject.starts_with(OWN) => self.own(known, envelope),
            Kind::Call | Kind::Notice => match known {
                Some(known) => self.serve(&known, envelope),
                None => self.stranger(&envelope),
            },
            Kind::Data | Kind::End => debug!(uid = %self.who.uid, "what came is nothing for a mesh"),
        }
    }

    /// Runs the method that is called.
    fn serve(self: &Arc<Self>, known: &Arc<Known>, envelope: Envelope) {
        let header = |name| envelope.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let asked = Asked { object: header(KIND).zip(header(ID)), method: &envelope.subject };
        let found = self.find(asked);
        let (handler, permit) = match found.and_then(|handler| Ok((handler, self.permit()?))) {
            Ok(found) => found,
            Err(fault) => return self.refuse(envelope, fault),
        };
        let caller = Caller {
            uid: known.who.uid.clone(),
            deadline: envelope.deadline.and_then(|deadline| Instant::now().checked_add(deadline)),
        };
        let core = Arc::clone(self);
        self.spawn(async move {
            let result = caught(&handler, caller, envelope.body.clone()).await;
            match result {
                result if envelope.kind == Kind::Call => core.answer(&envelope, result).await,
                Ok(_) => {}
                Err(fault) => debug!(method = %envelope.subject, ?fault, "what was sent was not done"),
            }
            drop(permit);
        });
    }

    /// The method that is meant.
    pub(super) fn find(&self, asked: Asked<'_>) -> Result<Handler, Fault> {
        let Some((kind, id)) = asked.object else { return self.methods.get(asked.method).cloned() };
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let of_kind = objects.get(kind);
        let unknown = || {
            let ids = of_kind.into_iter().flat_map(|objects| objects.keys());
            // An object is called by an id that someone was given; of many, none is looked for.
            Fault::UnknownObject { nearest: nearest(id, ids.take(limits::MESH_CALLS).map(String::as_str)) }
        };
        of_kind.and_then(|objects| objects.get(id)).ok_or_else(unknown)?.get(asked.method).cloned()
    }

    /// The right to run one more handler.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.handlers).try_acquire_owned().map_err(|_| Fault::Busy)
    }

    /// Does not do what is asked. Who waits is told; what nobody waits for is counted.
    fn refuse(self: &Arc<Self>, envelope: Envelope, fault: Fault) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if envelope.kind != Kind::Call {
            warn!(from = %envelope.sender, method = %envelope.subject, ?fault, "what was sent is not done");
            return;
        }
        let core = Arc::clone(self);
        self.chore(async move { core.answer(&envelope, Err(fault)).await });
    }

    /// Answers a call.
    pub(super) async fn answer(&self, call: &Envelope, result: Result<Bytes, Fault>) {
        let sent = match result {
            Ok(body) => self.reply(call, Kind::Reply, body).await,
            Err(fault) => self.fault(call, &fault).await,
        };
        // A result too large to be sent is a fault that can be.
        let Err(MeshError::Transport { source, .. }) = sent else { return };
        if source.kind() == TransportErrorKind::Invalid {
            let _ = self.fault(call, &Fault::Failed { message: source.to_string() }).await;
        } else {
            debug!(to = %call.sender, error = %source, "an answer was not sent");
        }
    }

    async fn fault(&self, call: &Envelope, fault: &Fault) -> MeshResult<()> {
        self.reply(call, Kind::Fault, protocol::write("a fault", fault)?).await
    }

    async fn reply(&self, call: &Envelope, kind: Kind, body: Bytes) -> MeshResult<()> {
        let correlation = call.correlation;
        let sender = Arc::clone(&self.who.address);
        let envelope = Envelope { correlation, ..Envelope::new(kind, sender, Content::Json, body) };
        self.post(&call.sender, envelope).await
    }

    pub(super) async fn post(&self, address: &str, envelope: Envelope) -> MeshResult<()> {
        let posted = self.transport.post(address, envelope).await;
        posted.map_err(|source| MeshError::Transport { to: address.to_owned(), source })
    }

    /// Someone that is not known asks for something.
    pub(super) fn stranger(self: &Arc<Self>, envelope: &Envelope) {
        let (core, call) = (Arc::clone(self), Envelope { body: Bytes::new(), ..envelope.clone() });
        self.chore(async move {
            if call.kind == Kind::Call {
                core.answer(&call, Err(Fault::NotConnected)).await;
            }
            if core.options.is_registry {
                let unknown = protocol::notice(protocol::UNKNOWN, &core.who.address, Bytes::new());
                let _ = core.post(&call.sender, unknown).await;
            }
        });
    }

    fn envelope(&self, kind: Kind, asked: Asked<'_>, body: Bytes) -> Envelope {
        let headers = asked.object.into_iter().flat_map(|(kind, id)| [(KIND, kind), (ID, id)]);
        Envelope {
            subject: asked.method.into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..Envelope::new(kind, Arc::clone(&self.who.address), Content::Json, body)
        }
    }

    /// Asks a peer, and waits for its answer as long as it is there.
    pub(super) async fn ask(
        self: &Arc<Self>,
        known: &Arc<Known>,
        asked: Asked<'_>,
        body: Bytes,
        deadline: Duration,
    ) -> MeshResult<Answer> {
        let uid = || known.who.uid.clone();
        let mut call = self.calls.begin(Some(Arc::clone(known))).ok_or_else(|| MeshError::Busy { uid: uid() })?;
        if !known.is_live() {
            return Err(MeshError::NotConnected { uid: uid() });
        }
        self.running()?;
        let envelope =
            Envelope { correlation: call.id, deadline: Some(deadline), ..self.envelope(Kind::Call, asked, body) };
        let posted = self.transport.post(&known.who.address, envelope);
        tokio::select! {
            biased;
            posted = posted => posted.map_err(|source| self.unreached(known, source))?,
            // It may be lost while there is no room.
            answer = &mut call.answer => return Ok(answer.unwrap_or(Err(Why::Stopped))),
        }
        Ok((&mut call.answer).await.unwrap_or(Err(Why::Stopped)))
    }

    fn unreached(self: &Arc<Self>, known: &Arc<Known>, source: crate::TransportError) -> MeshError {
        if matches!(source.kind(), TransportErrorKind::NotFound | TransportErrorKind::Unavailable) {
            self.suspect(known, "it was not reached");
        }
        MeshError::Transport { to: known.who.uid.to_string(), source }
    }

    /// Calls a method of a runtime, of this one without the transport (M12).
    pub(super) async fn call(
        self: &Arc<Self>,
        uid: &str,
        asked: Asked<'_>,
        body: Bytes,
        deadline: Duration,
    ) -> MeshResult<Bytes> {
        self.running()?;
        let late = |_| MeshError::Deadline { what: format!("`{}` of `{uid}`", asked.method), deadline };
        if uid == self.who.uid.as_str() {
            let answer = timeout(deadline, self.circular(asked, body, deadline)).await.map_err(late)?;
            return outcome(&self.who.uid, asked, answer);
        }
        let known = lock(&self.table).live(uid)?.clone();
        let answer = async {
            let answer = self.ask(&known, asked, body.clone(), deadline).await?;
            if !matches!(answer, Err(Why::Fault(Fault::NotConnected))) {
                return Ok(answer);
            }
            // It gave this one up, and has not been told of it since.
            self.meet(&known).await?;
            self.ask(&known, asked, body, deadline).await
        };
        let answer = timeout(deadline, answer).await.map_err(late)??;
        outcome(&known.who.uid, asked, answer)
    }

    async fn circular(&self, asked: Asked<'_>, body: Bytes, deadline: Duration) -> Answer {
        let permit = self.permit().map_err(Why::Fault)?;
        let handler = self.find(asked).map_err(Why::Fault)?;
        let caller = Caller { uid: self.who.uid.clone(), deadline: Instant::now().checked_add(deadline) };
        let result = caught(&handler, caller, body).await;
        drop(permit);
        result.map_err(Why::Fault)
    }

    /// Sends something that nobody answers.
    pub(super) async fn send(self: &Arc<Self>, uid: &str, asked: Asked<'_>, body: Bytes) -> MeshResult<()> {
        self.running()?;
        if uid != self.who.uid.as_str() {
            let known = lock(&self.table).live(uid)?.clone();
            let envelope = self.envelope(Kind::Notice, asked, body);
            let posted = self.transport.post(&known.who.address, envelope).await;
            return posted.map_err(|source| self.unreached(&known, source));
        }
        let fault = |fault: Fault| fault.into_error(&self.who.uid, asked.method, asked.object);
        let (handler, permit) = (self.find(asked).map_err(fault)?, self.permit().map_err(fault)?);
        let caller = Caller { uid: self.who.uid.clone(), deadline: None };
        self.spawn(async move {
            if let Err(fault) = caught(&handler, caller, body).await {
                debug!(?fault, "what was sent was not done");
            }
            drop(permit);
        });
        Ok(())
    }

    /// Whether a peer answers. One that has given this one up is met anew.
    pub(super) async fn answers(self: &Arc<Self>, known: &Arc<Known>) -> bool {
        let within = self.options.probe;
        let heart = self.ask(known, Asked { object: None, method: HEART }, Bytes::new(), within);
        match timeout(within, heart).await {
            Ok(Ok(Err(Why::Fault(Fault::NotConnected)))) if !self.options.is_registry => self.meet(known).await.is_ok(),
            answer => matches!(answer, Ok(Ok(Ok(_)))),
        }
    }
}

fn outcome(uid: &Uid, asked: Asked<'_>, answer: Answer) -> MeshResult<Bytes> {
    answer.map_err(|why| match why {
        Why::Fault(fault) => fault.into_error(uid, asked.method, asked.object),
        Why::Lost => MeshError::Lost { uid: uid.clone() },
        Why::Stopped => MeshError::Stopped,
    })
}

/// Runs a method; a panic of it is its failure.
async fn caught(handler: &Handler, caller: Caller, body: Bytes) -> Result<Bytes, Fault> {
    let mut run = pin!(async { handler(caller, body).await });
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| std::task::Poll::Ready(Err(Fault::Failed { message: "it panicked".to_owned() })))
    })
    .await
}
