//! What the clones and the tasks of a transport share.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::TcpOptions;
use super::connection::{Connection, Made, Unread};
use super::frame::{self, Message};
use super::handshake::{check_address, dial, listen};
use crate::{Content, Envelope, Kind, LocalTransport, Taker, Transport as _, TransportError, TransportResult, limits};

/// How long it waits before it accepts again, where the system had no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Shared {
    /// Where it is reached: `host:port`.
    pub(super) address: Arc<str>,
    options: TcpOptions,
    /// Its mailboxes; those that have no taker are of the local transport.
    boxes: Mutex<HashMap<Arc<str>, Owner>>,
    pub(super) local: LocalTransport,
    /// Other transports by their addresses, and by what they were dialled as.
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    live: Mutex<Vec<Weak<Connection>>>,
    permits: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
    is_closed: AtomicBool,
}

/// Whose a mailbox is; `None`: of one who receives.
type Owner = Option<Arc<dyn Taker>>;

/// The way to one other transport.
#[derive(Default)]
struct Slot {
    connection: Mutex<Option<Arc<Connection>>>,
    /// Who dials has it, so that one does.
    dialling: tokio::sync::Mutex<()>,
}

impl Slot {
    fn live(&self) -> Option<Arc<Connection>> {
        lock(&self.connection).as_ref().filter(|connection| !connection.is_lost()).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(address: Arc<str>, options: TcpOptions) -> Self {
        Self {
            address,
            permits: Arc::new(Semaphore::new(options.connections.min(Semaphore::MAX_PERMITS))),
            options,
            boxes: Mutex::default(),
            local: LocalTransport::new(),
            slots: Mutex::default(),
            live: Mutex::default(),
            tasks: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    pub(super) fn connections(&self) -> usize {
        lock(&self.live).iter().filter_map(Weak::upgrade).filter(|connection| !connection.is_lost()).count()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        if !self.is_closed() {
            tasks.spawn(task);
        }
    }

    /// Accepts connections until it is closed.
    pub(super) fn listen(self: &Arc<Self>, listener: TcpListener) {
        let shared = Arc::clone(self);
        self.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => {
                        // Beyond the bound it is closed at once: who dials is told, and may try again.
                        if let Ok(permit) = Arc::clone(&shared.permits).try_acquire_owned() {
                            shared.spawn(Arc::clone(&shared).accept(stream, permit));
                        } else {
                            debug!(%from, "a connection more than there may be was refused");
                        }
                    }
                    Err(error) => {
                        debug!(%error, "no connection was accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }

    async fn accept(self: Arc<Self>, stream: TcpStream, permit: OwnedSemaphorePermit) {
        match listen(stream, &self.address, &self.options).await {
            Ok(made) => {
                let (connection, half, unread) = Connection::new(made, self.options.queue_bytes);
                self.register(&connection.peer, &connection);
                self.run(connection, half, unread, permit).await;
            }
            Err(error) => debug!(%error, "a connection was refused"),
        }
    }

    /// What is posted to an address goes over this connection, unless another is there.
    fn register(&self, address: &Arc<str>, connection: &Arc<Connection>) {
        let slot = Arc::clone(lock(&self.slots).entry(Arc::clone(address)).or_default());
        let mut known = lock(&slot.connection);
        if known.as_ref().is_none_or(|known| known.is_lost()) {
            *known = Some(Arc::clone(connection));
        }
        drop(known);
        let mut live = lock(&self.live);
        live.retain(|other| other.strong_count() > 0);
        if !live.iter().any(|other| other.as_ptr() == Arc::as_ptr(connection)) {
            live.push(Arc::downgrade(connection));
        }
    }

    /// Reads and writes until the connection is lost, and tells those it concerns.
    async fn run(
        self: Arc<Self>,
        connection: Arc<Connection>,
        mut half: OwnedReadHalf,
        mut unread: Unread,
        permit: OwnedSemaphorePermit,
    ) {
        let ended = tokio::select! {
            ended = self.read(&connection, &mut half, &mut unread) => ended,
            () = connection.write_on() => Ok(()),
        };
        if let Err(error) = ended {
            debug!(peer = %connection.peer, error = &error as &dyn std::error::Error, "a connection was lost");
        }
        connection.lose();
        lock(&self.slots).retain(|_, slot| {
            let mut known = lock(&slot.connection);
            if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &connection)) {
                *known = None;
            }
            // Who dials at the moment registers it again.
            known.is_some()
        });
        drop(permit);
        for (mailbox, other) in connection.traffic() {
            let lost = Envelope::new(Kind::Lost, other, Content::Bytes, Bytes::new());
            // Whose mailbox it was may have gone.
            let _ = self.deliver(&mailbox, lost).await;
        }
    }

    async fn read(
        &self,
        connection: &Arc<Connection>,
        half: &mut OwnedReadHalf,
        unread: &mut Unread,
    ) -> TransportResult<()> {
        while let Some(message) = connection.read(half, unread).await? {
            match message {
                Message::Envelope(name, envelope) => {
                    let envelope = Envelope::decode(&envelope)?;
                    check_sender(connection, &envelope)?;
                    connection.note(&name, &envelope.sender);
                    let from = Arc::clone(&envelope.sender);
                    if self.deliver(&name, envelope).await.is_err() {
                        let from = from.split_once('/').map_or(&*from, |(_, name)| name).to_owned();
                        connection.tell(&Message::Bounce { of: name, from })?;
                    }
                }
                Message::Ask(name) => {
                    let has = lock(&self.boxes).contains_key(&*name);
                    connection.tell(&if has { Message::Has(name) } else { Message::HasNot(name) })?;
                }
                Message::Has(name) => connection.told(name, true),
                Message::HasNot(name) => connection.told(name, false),
                Message::Bounce { of, from } => {
                    let other = format!("{}/{of}", connection.peer).into();
                    let lost = Envelope::new(Kind::Lost, other, Content::Bytes, Bytes::new());
                    // Whose mailbox it was may have gone.
                    let _ = self.deliver(&from, lost).await;
                }
                Message::Ready => {}
            }
        }
        Ok(())
    }

    /// Puts an envelope into a mailbox of this transport.
    async fn deliver(&self, name: &str, envelope: Envelope) -> TransportResult<()> {
        let known = lock(&self.boxes).get(name).cloned();
        match known {
            Some(Some(taker)) => {
                taker.take(envelope);
                Ok(())
            }
            Some(None) => self.local.post(name, envelope).await,
            None => Err(TransportError::NoSuchAddress { address: name.to_owned() }),
        }
    }

    pub(super) async fn post(self: &Arc<Self>, address: &str, envelope: Envelope) -> TransportResult<()> {
        if self.is_closed() {
            return Err(TransportError::Closed);
        }
        let far = address.split_once('/').filter(|(host, _)| check_address(host).is_ok());
        let (host, name) = match far {
            None => return self.deliver(address, envelope).await,
            Some((host, name)) if *host == *self.address => return self.deliver(name, envelope).await,
            Some(far) => far,
        };
        crate::transport::check_name("an address", name)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.send(host, name, address, &envelope).await {
                Ok(true) => return Ok(()),
                // The other transport is there, and has no such mailbox.
                Ok(false) => return Err(TransportError::NoSuchAddress { address: address.to_owned() }),
                // Nothing was sent, so it may be sent again.
                Err(error)
                    if error.is_retryable() && attempts < self.options.reconnect.attempts && !self.is_closed() =>
                {
                    sleep(self.options.reconnect.pause(attempts)).await;
                }
                Err(error) => return Err(if self.is_closed() { TransportError::Closed } else { error }),
            }
        }
    }

    /// Whether there is such a mailbox, and it was sent. Fails only where nothing was sent.
    async fn send(
        self: &Arc<Self>,
        host: &str,
        name: &str,
        address: &str,
        envelope: &Envelope,
    ) -> TransportResult<bool> {
        let connection = self.reach(host).await?;
        if !connection.has(name).await? {
            return Ok(false);
        }
        let own = envelope.sender.strip_prefix(&*self.address).and_then(|rest| rest.strip_prefix('/'));
        connection.note(own.unwrap_or(&envelope.sender), address);
        connection
            .send(&|bytes| {
                frame::put_envelope_to(bytes, name);
                envelope.encode_head(bytes)?;
                bytes.extend_from_slice(&envelope.body);
                Ok(())
            })
            .await?;
        Ok(true)
    }

    /// The connection to another transport; it is made where there is none.
    async fn reach(self: &Arc<Self>, host: &str) -> TransportResult<Arc<Connection>> {
        let slot = {
            let mut slots = lock(&self.slots);
            match slots.get(host) {
                Some(slot) => Arc::clone(slot),
                None => Arc::clone(slots.entry(host.into()).or_default()),
            }
        };
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        let _dialling = slot.dialling.lock().await;
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        let made = self.dial(host).await;
        if made.is_err() {
            lock(&self.slots).retain(|_, known| !Arc::ptr_eq(known, &slot) || known.live().is_some());
        }
        let (connection, half, unread, permit) = made?;
        self.register(&connection.peer, &connection);
        self.register(&host.into(), &connection);
        // The others that wait for this slot have it from here, whatever became of the table.
        *lock(&slot.connection) = Some(Arc::clone(&connection));
        self.spawn(Arc::clone(self).run(Arc::clone(&connection), half, unread, permit));
        Ok(connection)
    }

    async fn dial(
        &self,
        host: &str,
    ) -> TransportResult<(Arc<Connection>, OwnedReadHalf, Unread, OwnedSemaphorePermit)> {
        let limit = self.options.connections;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            let (what, size) = ("a transport in connections", limit.saturating_add(1));
            TransportError::TooLarge { what, size, limit }
        })?;
        let made: Made = dial(host, &self.address, &self.options).await?;
        let (connection, half, unread) = Connection::new(made, self.options.queue_bytes);
        connection.tell(&Message::Ready)?;
        Ok((connection, half, unread, permit))
    }

    /// Stops at once.
    pub(super) fn stop(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        lock(&self.tasks).abort_all();
        for connection in lock(&self.live).drain(..).filter_map(|connection| connection.upgrade()) {
            connection.lose();
        }
        lock(&self.slots).clear();
        // It is closed at once; who waits at a mailbox is woken.
        let _ = pin!(self.local.close()).poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Waits for what is to be written, and stops.
    pub(super) async fn close(&self) -> TransportResult<()> {
        if self.is_closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let live: Vec<_> = lock(&self.live).iter().filter_map(Weak::upgrade).collect();
        let written = async {
            let mut result = Ok(());
            for connection in live.iter().filter(|connection| !connection.is_lost()) {
                result = result.and(connection.written().await);
            }
            result
        };
        let written = timeout(limits::TCP_CLOSING, written).await;
        self.stop();
        written.unwrap_or_else(|error| Err(TransportError::failed("writing what was to be sent", error)))
    }
}

/// Nobody speaks for others, nor for the transport.
fn check_sender(connection: &Connection, envelope: &Envelope) -> TransportResult<()> {
    let host = envelope.sender.split_once('/').map(|(host, _)| host).filter(|host| check_address(host).is_ok());
    if envelope.kind == Kind::Lost || host.is_some_and(|host| *host != *connection.peer) {
        let reason = format!("`{}` sends as `{}`", connection.peer, envelope.sender);
        return Err(TransportError::Malformed { reason });
    }
    Ok(())
}

/// A name that a mailbox or a taker has.
pub(super) struct Owned {
    shared: Arc<Shared>,
    name: Arc<str>,
}

impl Owned {
    pub(super) fn new(shared: &Arc<Shared>, name: &str, taker: Option<Arc<dyn Taker>>) -> TransportResult<Self> {
        let mut boxes = lock(&shared.boxes);
        if shared.is_closed() {
            return Err(TransportError::Closed);
        }
        if boxes.contains_key(name) {
            return Err(TransportError::Taken { address: name.to_owned() });
        }
        let name: Arc<str> = name.into();
        boxes.insert(Arc::clone(&name), taker);
        Ok(Self { shared: Arc::clone(shared), name })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        lock(&self.shared.boxes).remove(&self.name);
        let live: Vec<_> = lock(&self.shared.live).iter().filter_map(Weak::upgrade).collect();
        for connection in live {
            // Where it is lost, it tells so itself.
            let _ = connection.tell(&Message::HasNot((*self.name).to_owned()));
        }
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owned").field(&self.name).finish()
    }
}
