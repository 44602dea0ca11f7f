//! What a mesh is made with.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::calls::halves;
use super::core::{Core, Door, lock};
use super::protocol::Who;
use super::{Caller, Mesh, MeshError, MeshEvent, MeshResult, Methods, Uid};
use crate::{Inlet, Taker, Transport, TransportError, limits};

/// How a silent peer is found to be lost (M35): after `interval` it is asked, and after the attempt `k` of `attempts` it is waited for
/// `interval × attempts ÷ (attempts + 1 - k)`. Any message of it begins this anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// How long it may be silent before it is asked; 15 seconds by default.
    pub interval: Duration,
    /// How often it is asked; 5 times by default, so silence is tolerated for 12.4 intervals.
    pub attempts: u32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(15), attempts: 5 }
    }
}

impl Heartbeat {
    /// How long it waits after an attempt.
    pub(super) fn wait(&self, attempt: u32) -> Duration {
        self.interval.saturating_mul(self.attempts) / (self.attempts + 1).saturating_sub(attempt).max(1)
    }
}

/// What can be told to a mesh.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) is_registry: bool,
    pub(super) heartbeat: Option<Heartbeat>,
    pub(super) deadline: Duration,
    pub(super) join_deadline: Duration,
    pub(super) rejoin: Duration,
    pub(super) probe: Duration,
    pub(super) handlers: usize,
    pub(super) calls: usize,
}

type OnLost = Box<dyn Fn(&Uid) + Send + Sync>;

/// Makes a [`Mesh`].
pub struct MeshBuilder {
    transport: Arc<dyn Transport>,
    uid: Uid,
    methods: Methods,
    options: Options,
    on_peer_lost: Vec<OnLost>,
}

impl fmt::Debug for MeshBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshBuilder").field("uid", &self.uid).field("options", &self.options).finish_non_exhaustive()
    }
}

impl MeshBuilder {
    /// A runtime that is called `uid`, over a transport that has mailboxes.
    pub fn new(transport: Arc<dyn Transport>, uid: Uid) -> Self {
        Self {
            transport,
            uid,
            methods: Methods::new(),
            options: Options {
                is_registry: false,
                heartbeat: Some(Heartbeat::default()),
                deadline: Duration::from_secs(30),
                join_deadline: Duration::from_secs(30),
                rejoin: Duration::from_secs(10),
                probe: Duration::from_secs(5),
                handlers: limits::MESH_HANDLERS,
                calls: limits::MESH_CALLS,
            },
            on_peer_lost: Vec::new(),
        }
    }

    /// It is the registry: the others join it.
    #[must_use]
    pub fn registry(mut self) -> Self {
        self.options.is_registry = true;
        self
    }

    /// With all of these methods.
    #[must_use]
    pub fn with_methods(self, methods: Methods) -> Self {
        Self { methods, ..self }
    }

    /// With a method; see [`Methods::with`].
    #[must_use]
    pub fn with_method<A, R, E, F, M>(self, name: impl Into<String>, method: M) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<R, E>> + Send + 'static,
        M: Fn(Caller, A) -> F + Send + Sync + 'static,
    {
        Self { methods: self.methods.with(name, method), ..self }
    }

    /// How silent peers are found to be lost.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.options.heartbeat = Some(heartbeat);
        self
    }

    /// Silent peers are not found to be lost, unless the transport tells.
    #[must_use]
    pub fn without_heartbeat(mut self) -> Self {
        self.options.heartbeat = None;
        self
    }

    /// How long a call waits unless it is told otherwise; 30 seconds by default.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// How long [`join`](Self::join) waits for the registry; 30 seconds by default.
    #[must_use]
    pub fn with_join_deadline(mut self, deadline: Duration) -> Self {
        self.options.join_deadline = deadline;
        self
    }

    /// How long the registry may take to answer before it is asked anew, also after it was lost; 10 seconds by default (M25).
    #[must_use]
    pub fn with_rejoin(mut self, interval: Duration) -> Self {
        self.options.rejoin = interval;
        self
    }

    /// How long a peer whose connection was lost may take to answer over another; 5 seconds by default.
    #[must_use]
    pub fn with_probe(mut self, deadline: Duration) -> Self {
        self.options.probe = deadline;
        self
    }

    /// So many handlers run at once; [`limits::MESH_HANDLERS`] by default. What comes beyond is refused as busy.
    #[must_use]
    pub fn with_handlers(mut self, handlers: usize) -> Self {
        self.options.handlers = handlers;
        self
    }

    /// So many calls wait at once; [`limits::MESH_CALLS`] by default. Those beyond fail as busy.
    #[must_use]
    pub fn with_calls(mut self, calls: usize) -> Self {
        self.options.calls = calls;
        self
    }

    /// Is called, on a task of its own, for each peer that is lost; not for one that leaves.
    #[must_use]
    pub fn on_peer_lost(mut self, lost: impl Fn(&Uid) + Send + Sync + 'static) -> Self {
        self.on_peer_lost.push(Box::new(lost));
        self
    }

    /// Starts it, with nobody to talk to yet.
    ///
    /// # Errors
    ///
    /// [`MethodName`](MeshError::MethodName); [`Transport`](MeshError::Transport) where the transport has no mailboxes, somebody has
    /// this runtime's, or anybody can be reached over it who has no key ([`open`](crate::Capabilities::open)).
    pub async fn start(self) -> MeshResult<Mesh> {
        self.methods.check()?;
        let (transport, uid) = (self.transport, self.uid);
        let failed = |source| MeshError::Transport { to: uid.to_string(), source };
        let capabilities = transport.capabilities();
        if !capabilities.mailboxes {
            return Err(failed(TransportError::Unsupported { what: "mailboxes", transport: capabilities.name }));
        }
        if capabilities.open {
            // A peer calls what is registered here.
            let (what, reason) = ("a mesh beyond this machine", format!("{} asks nobody for a key", capabilities.name));
            return Err(failed(TransportError::Refused { what, reason }));
        }
        let [incarnation, _] = halves();
        let who = Who { address: transport.address(uid.as_str()).into(), uid: uid.clone(), incarnation };
        let core = Arc::new(Core::new(who, Arc::clone(&transport), self.options, self.methods));
        let door = Door(Arc::downgrade(&core));
        let mesh = Mesh::new(Arc::clone(&core));
        if let Some(mailbox) = transport.hand_to(uid.as_str(), Arc::new(Door(Arc::downgrade(&core)))) {
            *lock(&core.mailbox) = Some(mailbox.map_err(failed)?);
        } else {
            let inlet = transport.mailbox(uid.as_str()).await.map_err(failed)?;
            core.spawn(pump(inlet, door, Arc::clone(&core)));
        }
        if !self.on_peer_lost.is_empty() {
            core.spawn(tell_of_lost(mesh.events(), self.on_peer_lost));
        }
        Ok(mesh)
    }

    /// Starts it, and joins the registry at this address: its [`Mesh::address`].
    ///
    /// # Errors
    ///
    /// As of [`start`](Self::start); [`Refused`](MeshError::Refused) where there is a runtime of this uid, or the registry is none;
    /// [`Transport`](MeshError::Transport) and [`Deadline`](MeshError::Deadline) where it is not reached.
    pub async fn join(self, registry: &str) -> MeshResult<Mesh> {
        let within = self.options.join_deadline;
        let mesh = self.start().await?;
        mesh.join(registry, within).await?;
        Ok(mesh)
    }
}

/// Takes what comes in a mailbox. It counts as dealt with before it is: what is redelivered would be done twice.
async fn pump(mut inlet: Box<dyn Inlet>, door: Door, core: Arc<Core>) {
    while let Ok(Some(delivery)) = inlet.recv().await {
        delivery.receipt.ack();
        door.take(delivery.envelope);
    }
    // Nothing comes any more, so no call would end.
    core.stop();
}

async fn tell_of_lost(mut events: super::MeshEvents, on_lost: Vec<OnLost>) {
    while let Some(event) = events.recv().await {
        if let MeshEvent::Lost { uid, .. } = event {
            for lost in &on_lost {
                lost(&uid);
            }
        }
    }
}
