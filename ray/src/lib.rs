#![doc = include_str!("../README.md")]

mod inlet;
pub mod limits;
mod outlet;
mod python;
mod topic;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use procession_transport::{
    BoxFuture, Capabilities, Envelope, Inlet, Outlet, Topic, Transport, TransportError, TransportResult,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::python::{Caller, Said};
use self::topic::{Opened, Role};

/// Where a cluster is, and how it is used.
#[derive(Debug, Clone)]
pub struct RayConfig {
    address: String,
    namespace: String,
    lease: Duration,
}

impl RayConfig {
    /// The cluster at an address, `host:port` of its head, or `auto` for the one that this machine belongs to. Topics
    /// of different namespaces are apart.
    pub fn new(address: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self { address: address.into(), namespace: namespace.into(), lease: limits::LEASE }
    }

    /// An end that is silent for so long counts as lost, and what it had comes to others. [`limits::LEASE_MIN`] at
    /// least.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease: lease.max(limits::LEASE_MIN), ..self }
    }
}

/// Pipelines whose topics are actors of a Ray cluster.
///
/// It keeps to the contract of [`Transport`] as far as its capabilities go: no subscribers, no mailboxes; what is on
/// its way comes on top of a topic's capacity. A receiver that asked and was cancelled keeps what came for it until it
/// asks again or is dropped.
#[derive(Debug)]
pub struct RayTransport {
    shared: Arc<Shared>,
    is_closed: AtomicBool,
    /// What carries for its ends; each gives how many envelopes it could not send.
    ends: Mutex<Vec<JoinHandle<usize>>>,
}

/// What the ends have of their transport.
#[derive(Debug)]
struct Shared {
    caller: Caller,
    namespace: Arc<str>,
    lease: Duration,
    closing: watch::Sender<bool>,
}

impl Shared {
    /// Waits until the transport is closed.
    async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // It is not dropped while this waits.
        let _ = closing.wait_for(|closing| *closing).await;
    }
}

/// What an end carries on with when it is dropped or closed.
type Work = BoxFuture<'static, usize>;

impl RayTransport {
    /// Joins the cluster. An OS process joins one cluster, whatever number of transports it has.
    ///
    /// # Errors
    ///
    /// [`Failed`](TransportError::Failed) where there is no cluster, or no Ray in this Python;
    /// [`Refused`](TransportError::Refused) where this OS process has joined another one.
    pub async fn connect(config: RayConfig) -> TransportResult<Self> {
        let RayConfig { address, namespace, lease } = config;
        let caller = Caller::connect(&address).await?;
        let shared = Shared { caller, namespace: namespace.into(), lease, closing: watch::Sender::new(false) };
        Ok(Self { shared: Arc::new(shared), is_closed: AtomicBool::new(false), ends: Mutex::default() })
    }

    async fn open(&self, topic: &Topic, role: Role) -> TransportResult<Opened> {
        CAPABILITIES.has(topic.mode())?;
        self.check()?;
        let opened = Opened::open(&self.shared, topic, role).await?;
        self.check()?;
        Ok(opened)
    }

    fn check(&self) -> TransportResult<()> {
        if self.is_closed.load(Ordering::SeqCst) { Err(TransportError::Closed) } else { Ok(()) }
    }

    /// Lets an end work until it is done.
    fn keep(&self, work: Work) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|end| !end.is_finished());
        ends.push(tokio::spawn(work));
    }
}

const CAPABILITIES: Capabilities = {
    let mut capabilities = Capabilities::none("the transport over Ray");
    capabilities.pipelines = true;
    capabilities.acks = true;
    capabilities.competing = true;
    capabilities
};

fn no_mailboxes<T>() -> TransportResult<T> {
    Err(TransportError::Unsupported { what: "mailboxes", transport: CAPABILITIES.name })
}

impl Transport for RayTransport {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        Box::pin(async move {
            let (outlet, work) = outlet::outlet(self.open(topic, Role::Sends).await?, topic);
            self.keep(work);
            Ok(Box::new(outlet) as _)
        })
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async move {
            let (inlet, work) = inlet::inlet(self.open(topic, Role::Receives).await?);
            self.keep(work);
            Ok(Box::new(inlet) as _)
        })
    }

    fn mailbox<'a>(&'a self, _: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async { no_mailboxes() })
    }

    fn post<'a>(&'a self, _: &'a str, _: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        Box::pin(async { no_mailboxes() })
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        Box::pin(async {
            self.is_closed.store(true, Ordering::SeqCst);
            self.shared.closing.send_replace(true);
            let ends = std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner));
            let mut unsent = 0;
            for end in ends {
                unsent += end.await.unwrap_or_default();
            }
            if unsent == 0 {
                return Ok(());
            }
            let said = Said(format!("{unsent} envelopes were still on their way"));
            Err(TransportError::failed("sending all before the close", said))
        })
    }
}

/// Leaves the cluster that this OS process has joined; transports over it are of no use any more, and another cluster
/// can be joined. A program that ends need not do it.
///
/// # Errors
///
/// Ray did not let it go.
pub async fn disconnect() -> TransportResult<()> {
    python::leave().await
}
