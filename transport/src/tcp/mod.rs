//! Mailboxes over TCP, without a broker.
//!
//! A [`TcpTransport`] listens at one address and dials others as it has something for them. What is called `name` here is
//! `host:port/name` for others; [`address`](crate::Transport::address) says so. There are no topics.
//!
//! Connections are authenticated and encrypted with a [`Key`] that all share (Noise `NNpsk0`). Without one the transport keeps to the
//! loopback interface, where whoever has an account of the machine reaches it. All who have the key are trusted alike.
//!
//! Two transports share a connection: what one sends to the other's mailboxes comes in order. Where a mailbox is full, all that comes
//! on its connection waits. A lost connection is made anew by whoever posts next, as [`Reconnect`] says; before, each mailbox that had
//! to do with someone over it gets an envelope [`Lost`](crate::Kind::Lost) from that one.

mod cipher;
mod connection;
pub(crate) mod frame;
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod options;
mod shared;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::TcpListener;

use self::handshake::{check_address, resolve};
pub use self::options::{Key, Reconnect, TcpOptions};
use self::shared::{Owned, Shared};
use crate::transport::check_name;
use crate::{
    BoxFuture, Capabilities, Delivery, Envelope, Inlet, Outlet, Taker, Topic, Transport, TransportError,
    TransportResult,
};

/// Carries envelopes to mailboxes over TCP. Clones are the same transport; it is closed with the last of them.
#[derive(Clone)]
pub struct TcpTransport {
    shared: Arc<Shared>,
    _open: Arc<Open>,
}

/// Closes it when the last clone goes: its tasks share the rest.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl TcpTransport {
    /// Listens.
    ///
    /// # Errors
    ///
    /// [`Refused`](TransportError::Refused) for an address beyond the loopback interface without a key,
    /// [`Name`](TransportError::Name) for an advertised address that is none, [`Failed`](TransportError::Failed) where the system does
    /// not let it listen there.
    pub async fn bind(options: TcpOptions) -> TransportResult<Self> {
        let at = resolve(&options.bind, &options).await?;
        let failed = |source| TransportError::failed("listening", source);
        let listener = TcpListener::bind(&at[..]).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let address = match options.advertise.as_deref().map(|address| (address, address.strip_suffix(":0"))) {
            None => local.to_string(),
            Some((_, Some(host))) => format!("{host}:{}", local.port()),
            Some((address, None)) => address.to_owned(),
        };
        check_address(&address)?;
        if options.advertise.is_none() && local.ip().is_unspecified() {
            let reason = format!("nobody can be told to connect to `{address}`: an address to advertise is needed");
            return Err(TransportError::Refused { what: "an address", reason });
        }
        let shared = Arc::new(Shared::new(address.into(), options));
        shared.listen(listener);
        Ok(Self { _open: Arc::new(Open(Arc::clone(&shared))), shared })
    }

    /// Where others reach it: `host:port`.
    pub fn host(&self) -> &str {
        &self.shared.address
    }

    /// How many connections there are now.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransport").field("host", &self.shared.address).finish_non_exhaustive()
    }
}

const NAME: &str = "the TCP transport";

impl Transport for TcpTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities { mailboxes: true, tells_loss: true, ..Capabilities::none(NAME) }
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        Box::pin(async { self.capabilities().has(topic.mode()).and(Err(TransportError::Closed)) })
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async { self.capabilities().has(topic.mode()).and(Err(TransportError::Closed)) })
    }

    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async move {
            check_name("an address", address)?;
            let owned = Owned::new(&self.shared, address, None)?;
            let inlet = self.shared.local.mailbox(address).await?;
            Ok(Box::new(Mailbox { inlet, owned: Some(owned) }) as _)
        })
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        Box::pin(self.shared.post(address, envelope))
    }

    fn hand_to(&self, address: &str, taker: Arc<dyn Taker>) -> Option<TransportResult<Box<dyn Any + Send + Sync>>> {
        let owned = check_name("an address", address).and_then(|()| Owned::new(&self.shared, address, Some(taker)));
        Some(owned.map(|owned| Box::new(owned) as _))
    }

    fn address(&self, address: &str) -> String {
        format!("{}/{address}", self.shared.address)
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        Box::pin(self.shared.close())
    }
}

/// A mailbox that others learn of when it goes.
#[derive(Debug)]
struct Mailbox {
    // Dropped first: what comes then is told to have come to nobody.
    inlet: Box<dyn Inlet>,
    owned: Option<Owned>,
}

impl Inlet for Mailbox {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        self.inlet.poll_recv(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let closed = self.inlet.poll_close(cx);
        self.owned = None;
        closed
    }
}
