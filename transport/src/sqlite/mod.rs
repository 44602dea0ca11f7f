//! The transport through one SQLite file, which the OS processes of a machine share.
//!
//! Each open transport has one thread with one connection. Whatever is asked of it (to open, to send, to take items
//! out, to acknowledge) is queued; the thread takes all that is queued, does it in one transaction with one flush, and
//! answers. Readers of the same transport are woken by it; in other OS processes they look for changes, at least every
//! 20 ms while they wait.

mod error;
mod inlet;
mod ledger;
mod members;
mod outlet;
mod publish;
mod queue;
mod schema;
mod topics;
mod turn;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::queue::{Alive, Ask, Call, Opened, Shared, Wanted};
use crate::transport::check_name;
use crate::{
    BoxFuture, Capabilities, Envelope, Inlet, Outlet, Topic, Transport, TransportError, TransportResult, limits,
};

/// How a file of channels is opened.
#[derive(Debug, Clone)]
pub struct SqliteTransportOptions {
    lease: Duration,
    busy: Duration,
    size_max: Option<u64>,
}

impl Default for SqliteTransportOptions {
    fn default() -> Self {
        Self { lease: limits::SQLITE_LEASE, busy: limits::SQLITE_BUSY, size_max: None }
    }
}

impl SqliteTransportOptions {
    /// The lease and the patience of [`limits`], and no bound to the size of the file.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long this transport may be silent, as when its OS process was killed or stopped, before the others take it
    /// for lost.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// How long another OS process that writes is waited for before what is asked fails.
    #[must_use]
    pub fn with_busy_timeout(self, busy: Duration) -> Self {
        Self { busy, ..self }
    }

    /// The size in bytes beyond which the file does not grow; what does not fit is refused to those who send.
    #[must_use]
    pub fn with_size_max(self, size_max: u64) -> Self {
        Self { size_max: Some(size_max), ..self }
    }
}

/// Carries envelopes through a SQLite file, between OS processes of one machine, and from one run to the next. Clones
/// are the same transport.
///
/// # What is promised
/// What was flushed is on the disk, and is received though all OS processes are killed or the power fails; of a
/// [lasting](Topic::lasting) topic also when nobody has it open for a while. A sender that goes on under its name
/// with numbers that it has sent before sends nothing twice: the file knows the last number of each, so what was not
/// flushed must be sent again before what comes after it. What is received comes again, marked so, unless its
/// acknowledgement is on the disk; a [`close`](Inlet::poll_close) waits for that.
///
/// # Who is lost
/// Each open transport says now and then that it lives. One whose OS process has ended, which others find by the lock
/// on a file beside this one (`<file>-member-<n>`), or that is not heard from for its lease, is lost: what it had
/// received and not acknowledged comes to others, its outlets have left without closing, its mailboxes are free.
/// Should it have been stopped only, it is told so: its ends fail as [disconnected](TransportError::Disconnected), and
/// new ones can be opened. One that is stopped in the midst of a transaction keeps the others from writing.
///
/// # What a failure leads to
/// Where the disk is full or another OS process writes for too long, those who wait are told, and what was to be sent
/// or acknowledged is kept: the next flush tries again. After damage or a failed flush of the disk, everything fails
/// with that error.
///
/// The file must not be on a network file system, where neither locks nor shared memory hold.
#[derive(Clone)]
pub struct SqliteTransport {
    path: Arc<PathBuf>,
    alive: Arc<Alive>,
}

impl SqliteTransport {
    /// Opens a file, and makes it if there is none. Does so at once, without a runtime.
    ///
    /// # Errors
    ///
    /// [`Refused`](TransportError::Refused) where the file is something else, was made by a newer version of this
    /// library or cannot be written; [`Failed`](TransportError::Failed) where it cannot be opened, or is damaged.
    pub fn open(path: impl AsRef<Path>) -> TransportResult<Self> {
        Self::open_with(path, SqliteTransportOptions::default())
    }

    /// Opens a file with options, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: SqliteTransportOptions) -> TransportResult<Self> {
        // The working directory may change; the thread's errors name the file.
        let path = std::path::absolute(path.as_ref())
            .map_err(|error| TransportError::failed("finding a file of channels", error))?;
        let connection = schema::open(&path, &options)?;
        let shared = Arc::new(Shared::new());
        let (own, file) = (Arc::clone(&shared), path.clone());
        std::thread::Builder::new()
            .name("procession-channels".to_owned())
            .spawn(move || writer::run(connection, file, &options, &own))
            .map_err(|error| TransportError::failed("starting the thread of a file of channels", error))?;
        Ok(Self { path: Arc::new(path), alive: Arc::new(Alive(shared)) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn open_end(&self, wanted: Wanted) -> TransportResult<Opened> {
        let alive = Arc::clone(&self.alive);
        self.alive.0.ask(false, |answer| Ask::Open { wanted, alive, answer }).await
    }

    async fn open_in(&self, wanted: Wanted) -> TransportResult<Box<dyn Inlet>> {
        match self.open_end(wanted).await? {
            Opened::Inlet(inlet) => Ok(Box::new(inlet)),
            Opened::Outlet(_) => Err(TransportError::Closed),
        }
    }
}

impl fmt::Debug for SqliteTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransport").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Transport for SqliteTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pipelines: true,
            pubsub: true,
            mailboxes: true,
            acks: true,
            durable: true,
            competing: true,
            exact: true,
            ..Capabilities::none("the SQLite transport")
        }
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        Box::pin(async {
            match self.open_end(Wanted::Outlet(topic.clone())).await? {
                Opened::Outlet(outlet) => Ok(Box::new(outlet) as _),
                Opened::Inlet(_) => Err(TransportError::Closed),
            }
        })
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(self.open_in(Wanted::Inlet(topic.clone())))
    }

    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async move {
            check_name("an address", address)?;
            self.open_in(Wanted::Mailbox(address.to_owned())).await
        })
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        Box::pin(async move {
            let (address, bytes) = (address.to_owned(), envelope.encode()?);
            self.alive.0.ask(true, |answer| Ask::Post { address, bytes, answer }).await
        })
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        Box::pin(async {
            let (answer, answered) = tokio::sync::oneshot::channel();
            self.alive.0.push(Call { ask: Ask::Close { answer }, place: None });
            // Nobody answers where it was closed before.
            answered.await.unwrap_or(Ok(()))
        })
    }
}
