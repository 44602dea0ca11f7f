//! What the parts of a communicator share: who the others are, what is waited for, and the end.

use procession_transport::limits as mesh_limits;
use procession_transport::mesh::{Caller, Mesh, MeshError, MeshEvent, MeshEvents, Methods, Object, Uid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{RwLock, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::broadcasts::{Job, carry};
use super::calls::Waiting;
use super::wire::{self, Call, Progress, Told};
use crate::communicator::heard::Heard;
use crate::communicator::listener::Listener;
use crate::communicator::subscription::{Room, Subscription};
use crate::communicator::{CommunicatorError, CommunicatorResult, RpcSubscriber};
use crate::limits;

pub(super) struct Core {
    pub(super) mesh: Mesh,
    /// Which communicators are one medium.
    name: String,
    /// What tells this communicator from another that had its place before.
    pub(super) id: Uuid,
    /// Where subscribers run.
    pub(super) runtime: Handle,
    pub(super) closed: watch::Sender<bool>,
    /// Calls that it may begin to answer.
    pub(super) answering: Arc<Semaphore>,
    /// Read while an answer is on its way: a close waits for that.
    pub(super) sending: RwLock<()>,
    state: Mutex<State>,
}

/// No code of users runs under its lock.
#[derive(Default)]
pub(super) struct State {
    is_closed: bool,
    pub(super) room: Room,
    pub(super) last_number: u64,
    pub(super) callees: HashMap<String, Arc<Subscription<dyn RpcSubscriber>>>,
    pub(super) listeners: HashMap<String, Arc<Listener>>,
    pub(super) heard: Heard,
    pub(super) replies: HashMap<u64, Arc<Waiting>>,
    /// Who had an identifier when it was called last.
    pub(super) known: HashMap<String, Uid>,
    /// The other communicators.
    pub(super) members: BTreeMap<Uid, Member>,
    object: Option<Object>,
}

/// Another communicator.
pub(super) struct Member {
    pub(super) id: Uuid,
    /// What it is told, in order.
    pub(super) queue: mpsc::Sender<Job>,
}

impl State {
    pub(super) fn open(&mut self) -> CommunicatorResult<&mut Self> {
        if self.is_closed { Err(CommunicatorError::Closed) } else { Ok(self) }
    }

    pub(super) fn check_subscribers(&self) -> CommunicatorResult<()> {
        self.room.for_subscriber(self.callees.len() + self.listeners.len())
    }

    /// Takes all that wait for an answer of a runtime.
    fn take_replies(&mut self, uid: &Uid) -> Vec<Arc<Waiting>> {
        self.known.retain(|_, of| of != uid);
        self.replies.extract_if(|_, waiting| waiting.is_of(uid)).map(|(_, waiting)| waiting).collect()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("name", &self.name).field("mesh", &self.mesh).finish_non_exhaustive()
    }
}

impl Core {
    /// Takes part, as soon as the others know it.
    pub(super) fn start(mesh: Mesh, name: String, runtime: Handle) -> CommunicatorResult<Arc<Self>> {
        let core = Arc::new(Self {
            mesh,
            name,
            id: Uuid::now_v7(),
            runtime,
            closed: watch::Sender::new(false),
            answering: Arc::new(Semaphore::new(limits::CALLS_AT_ONCE)),
            sending: RwLock::new(()),
            state: Mutex::default(),
        });
        let events = core.mesh.events();
        let registered = core.mesh.register(wire::KIND, core.name.as_str(), methods(&Arc::downgrade(&core)));
        let object = registered.map_err(|error| match error {
            MeshError::Stopped => CommunicatorError::Closed,
            error => CommunicatorError::Mesh { action: "taking part", source: Arc::new(error) },
        })?;
        core.lock().object = Some(object);
        core.runtime.spawn(Arc::clone(&core).watch(events));
        Ok(core)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(super) fn check_open(&self) -> CommunicatorResult<()> {
        self.lock().open().map(drop)
    }

    /// Asks the communicator on a runtime; one that is busy is asked again.
    pub(super) async fn ask<A, R>(
        &self,
        uid: &Uid,
        method: &str,
        arguments: &A,
        within: Duration,
    ) -> Result<R, MeshError>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        // Further away than any deadline is, and no clock overflows.
        let within = within.min(limits::TASK_REPLY);
        let until = Instant::now() + within;
        let peer = self.mesh.peer(uid.as_str()).object(wire::KIND, self.name.as_str());
        let mut pause = limits::MESH_AGAIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match peer.clone().with_deadline(left).call(method, arguments).await {
                Err(MeshError::Busy { .. }) if left > pause => sleep(pause).await,
                answer => return answer,
            }
            pause = (pause * 2).min(limits::MESH_AGAIN_MOST);
        }
    }

    /// Says who it is to all who are there.
    pub(super) async fn greet_all(self: &Arc<Self>) {
        let mut greetings = JoinSet::new();
        for uid in self.mesh.peers() {
            if greetings.len() >= limits::MESH_AT_ONCE {
                greetings.join_next().await;
            }
            greetings.spawn(Arc::clone(self).greet(uid));
        }
        while greetings.join_next().await.is_some() {}
    }

    /// Says who it is: the two know one another then, if there is a communicator.
    async fn greet(self: Arc<Self>, uid: Uid) {
        let mut closed = self.closed.subscribe();
        let greeting = async {
            let mut pause = limits::MESH_AGAIN;
            loop {
                match self.ask(&uid, wire::HELLO, &self.id, limits::CONNECT).await {
                    Ok(Some(id)) => {
                        self.greeted(&uid, id);
                        return;
                    }
                    Ok(None) => return,
                    Err(error) if wire::is_away(&error) || !error.is_retryable() => {
                        return tracing::debug!(%uid, %error, "a runtime of the mesh has no communicator");
                    }
                    Err(_) => sleep(pause).await,
                }
                pause = (pause * 2).min(limits::MESH_AGAIN_MOST);
            }
        };
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => {}
            greeted = timeout(limits::CONNECT, greeting) => {
                if greeted.is_err() {
                    tracing::warn!(%uid, "a runtime of the mesh does not say whether it has a communicator");
                }
            }
        }
    }

    /// Another communicator is there; it hears who this is.
    fn greeted(self: &Arc<Self>, uid: &Uid, id: Uuid) -> Option<Uuid> {
        let mut state = self.lock();
        state.open().ok()?;
        let is_known = state.members.get(uid).is_some_and(|member| member.id == id);
        if is_known || uid == self.mesh.uid() {
            return Some(self.id);
        }
        if state.members.len() >= mesh_limits::MESH_PEERS {
            return None;
        }
        let (queue, jobs) = mpsc::channel(limits::BROADCASTS_UNSENT);
        let before = state.members.insert(uid.clone(), Member { id, queue });
        let lost = if before.is_some() { state.take_replies(uid) } else { Vec::new() };
        drop(state);
        end_all(lost, &wire::lost(uid));
        self.runtime.spawn(carry(Arc::clone(self), uid.clone(), id, jobs));
        Some(self.id)
    }

    /// A communicator is not there any more.
    pub(super) fn gone(&self, uid: &Uid, id: Uuid) {
        let mut state = self.lock();
        if state.members.get(uid).is_none_or(|member| member.id != id) {
            return;
        }
        let member = state.members.remove(uid);
        let lost = state.take_replies(uid);
        drop(state);
        drop(member);
        end_all(lost, &wire::lost(uid));
    }

    /// A runtime is not there any more, or was not for a while: whether it answers what it was asked is not known.
    fn lost(&self, uid: &Uid) {
        let mut state = self.lock();
        // One that has come back greets, or is greeted.
        let member = if self.mesh.is_shaken(uid.as_str()) { None } else { state.members.remove(uid) };
        let lost = state.take_replies(uid);
        drop(state);
        drop(member);
        end_all(lost, &wire::lost(uid));
    }

    /// Follows who comes and who goes, to the end of the communicator or of its mesh.
    async fn watch(self: Arc<Self>, mut events: MeshEvents) {
        let mut closed = self.closed.subscribe();
        let mut greetings = JoinSet::new();
        loop {
            let event = tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => return,
                () = self.mesh.stopped() => return drop(self.close()),
                _ = greetings.join_next(), if greetings.len() >= limits::MESH_AT_ONCE => continue,
                event = events.recv() => event,
            };
            while greetings.try_join_next().is_some() {}
            match event {
                Some(MeshEvent::Joined { uid }) => drop(greetings.spawn(Arc::clone(&self).greet(uid))),
                Some(MeshEvent::Left { uid } | MeshEvent::Lost { uid, .. }) => self.lost(&uid),
                Some(MeshEvent::Missed(_)) => {
                    let there = self.mesh.peers();
                    let known: Vec<_> = self.lock().members.keys().cloned().collect();
                    for uid in known.iter().filter(|uid| there.binary_search(uid).is_err()) {
                        self.lost(uid);
                    }
                    self.greet_all().await;
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Closes it, once: who is to be told.
    pub(super) fn close(&self) -> Option<Vec<Uid>> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_closed, true) {
            return None;
        }
        // Dropped without the lock: subscribers are code of users.
        let ended = std::mem::replace(&mut *state, State { is_closed: true, ..State::default() });
        drop(state);
        self.closed.send_replace(true);
        end_all(ended.replies.into_values().collect(), &CommunicatorError::Closed);
        Some(ended.members.into_keys().collect())
    }

    /// Tells the others that it goes, when what it has answered was sent.
    pub(super) async fn leave(self: Arc<Self>, members: Vec<Uid>) {
        let leaving = async {
            drop(self.sending.write().await);
            let mut told = JoinSet::new();
            for uid in members {
                if told.len() >= limits::MESH_AT_ONCE {
                    told.join_next().await;
                }
                let core = Arc::clone(&self);
                told.spawn(async move {
                    // Whoever is not told finds out when it sends something.
                    let _: Result<(), _> = core.ask(&uid, wire::GOODBYE, &core.id, limits::CLOSE).await;
                });
            }
            while told.join_next().await.is_some() {}
        };
        if timeout(limits::CLOSE, leaving).await.is_err() {
            tracing::debug!("not all communicators of the mesh were told of a close");
        }
    }
}

/// Ends all of these.
fn end_all(waiting: Vec<Arc<Waiting>>, error: &CommunicatorError) {
    for waiting in waiting {
        waiting.fail(error.clone());
    }
}

/// What others can ask of it, as long as it is there.
fn methods(core: &Weak<Core>) -> Methods {
    /// With a communicator that is open, this; otherwise what stands for none.
    fn with<A, R: Default>(
        core: &Weak<Core>,
        does: impl Fn(&Arc<Core>, &Uid, A) -> R + Send + Sync + 'static,
    ) -> impl Fn(Caller, A) -> std::future::Ready<Result<R, CommunicatorError>> + Send + Sync + 'static {
        let core = Weak::clone(core);
        move |caller, arguments| {
            let core = core.upgrade().filter(|core| !core.is_closed());
            std::future::ready(Ok(core.map(|core| does(&core, &caller.uid, arguments)).unwrap_or_default()))
        }
    }
    Methods::new()
        .with(wire::HELLO, with(core, |core, uid, id: Uuid| core.greeted(uid, id)))
        .with(wire::GOODBYE, with(core, |core, uid, id: Uuid| core.gone(uid, id)))
        .with(wire::HAS, with(core, |core, _, identifier: String| core.lock().callees.contains_key(&identifier)))
        .with(wire::CALL, with(core, |core, uid, call: Call| core.called(uid, call)))
        .with(wire::ANSWER, with(core, |core, uid, progress: Progress| core.answered(uid, progress)))
        .with(wire::BROADCASTS, with(core, |core, _, told: Vec<Told>| core.told(told)))
}
