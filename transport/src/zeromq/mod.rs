//! The transport over ZeroMQ's sockets: without a broker, on one machine or in one trusted network.
//!
//! One transport [hosts](ZmqTransport::host) the rendezvous, the others [join](ZmqTransport::join) it; they may be in
//! one OS process or
//! in several. The host only knows who has which end of which topic open: what is sent goes straight from each outlet
//! to each inlet,
//! from a PUSH to a PULL socket, in two frames, the topic's name and the [envelope](crate::Envelope).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! # use procession_transport as transport;
//! use transport::ZmqTransport;
//! use transport::channel::ConnectorBuilder;
//!
//! let here = Arc::new(ZmqTransport::host("tcp://127.0.0.1:*").await?);
//! // In another OS process, which was told the endpoint:
//! let there = Arc::new(ZmqTransport::join(here.endpoint()).await?);
//!
//! let spec = "reader.lines..counter.texts".parse()?;
//! let mut sender = ConnectorBuilder::new(here.clone()).build::<u32>(&spec)?.connect_send().await?;
//! let mut receiver = ConnectorBuilder::new(there.clone()).build::<u32>(&spec)?.connect_recv().await?;
//! sender.send(1).await?;
//! assert_eq!(receiver.recv().await?, 1);
//! # Ok(())
//! # }
//! ```

mod core;
mod host;
mod inlet;
mod member;
mod news;
mod options;
mod outlet;
pub(crate) mod plug;
mod post;
mod registry;
mod wire;

pub use self::options::ZmqOptions;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::core::{Core, State};
use self::inlet::{Of, ZmqInlet};
use self::member::{Known, Reply, Request, Speaker};
use self::news::News;
use self::outlet::ZmqOutlet;
use self::wire::{Answer, Ask, Shape};
use crate::transport::check_name;
use crate::{
    BoxFuture, Capabilities, Envelope, Inlet, Mode, Outlet, Topic, Transport, TransportError, TransportResult, limits,
};

/// The subject of the envelope that ends what an outlet sends.
const MARK: &str = "procession.end";

/// Carries envelopes over ZeroMQ's sockets.
///
/// Of the [contract](Transport) it lacks sentence 6: nothing is acknowledged. What was on its way to a receiver that
/// leaves or is lost is lost with
/// it, and nothing survives the OS process of its sender, unless it has already gone to the other. The capacity is not
/// exact: what
/// the kernel keeps on the way comes on top of it. A receiver is told the end of what it was sent by each sender; a
/// sender that is
/// lost is known to be so after the host's [silence](ZmqOptions::with_silence), and has then ended nothing.
///
/// When the host is lost or closed, so is the rendezvous: all ends of the others fail with
/// [`Disconnected`](TransportError::Disconnected), after what had come already.
///
/// [Close](Transport::close) it before the OS process ends: that waits until what was sent has left it.
pub struct ZmqTransport {
    shared: Arc<Shared>,
    endpoint: String,
    hosts: Mutex<Option<Hosting>>,
    speaker: JoinHandle<()>,
    linger: Duration,
}

/// What the host's task needs to end.
struct Hosting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What the ends of a transport share with it.
struct Shared {
    known: Arc<Known>,
    requests: mpsc::Sender<Request>,
    /// Of what sends, so that a close can wait for it whoever still receives; `None` then.
    sending: Mutex<Option<zmq::Context>>,
    /// Of all else.
    receiving: zmq::Context,
    cores: Mutex<Vec<Weak<Mutex<State>>>>,
    posts: post::Posts,
    interface: IpAddr,
    runtime: Handle,
    is_closed: AtomicBool,
}

/// Any free port of an interface.
fn endpoint_at(interface: IpAddr) -> String {
    match interface {
        IpAddr::V4(address) => format!("tcp://{address}:*"),
        IpAddr::V6(address) => format!("tcp://[{address}]:*"),
    }
}

/// The host answered something else than it was asked.
fn unexpected() -> TransportError {
    TransportError::Malformed { reason: "the host's answer is none to the request".to_owned() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Undoes what was asked for, beside whoever does not want it any more.
fn spawn_undo(shared: Arc<Shared>, undo: Ask) {
    let (runtime, asking) = (shared.runtime.clone(), shared.begin(undo));
    runtime.spawn(async move {
        // Without a host there is nothing to undo.
        let _ = shared.complete(asking).await;
    });
}

/// A request that is on its way to the host, unless too many are.
enum Asking {
    Sent(oneshot::Receiver<TransportResult<Reply>>),
    Waits(Ask),
}

impl Shared {
    /// Asks the host.
    async fn ask(&self, ask: Ask) -> TransportResult<(Answer, Arc<News>)> {
        self.ask_for(ask).await.map(|(answer, news, _)| (answer, news))
    }

    async fn ask_for(&self, ask: Ask) -> TransportResult<(Answer, Arc<News>, Option<Core>)> {
        self.complete(self.begin(ask)).await
    }

    /// Asks without waiting: whatever is asked later, the host hears later. An outlet that was dropped is not to be taken for open by
    /// one that closes after it.
    fn begin(&self, ask: Ask) -> Asking {
        let (answer, answered) = oneshot::channel();
        match self.requests.try_send(Request { ask, answer }) {
            Err(mpsc::error::TrySendError::Full(Request { ask, .. })) => Asking::Waits(ask),
            // Where the channel is closed, so is the answer's.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Asking::Sent(answered),
        }
    }

    async fn complete(&self, asking: Asking) -> TransportResult<(Answer, Arc<News>, Option<Core>)> {
        let answered = match asking {
            Asking::Sent(answered) => answered,
            Asking::Waits(ask) => {
                let (answer, answered) = oneshot::channel();
                self.requests.send(Request { ask, answer }).await.map_err(|_| self.stopped())?;
                answered
            }
        };
        let reply = answered.await.map_err(|_| self.stopped())??;
        Ok(reply.take())
    }

    /// Why nothing can be asked.
    fn stopped(&self) -> TransportError {
        self.known.lock().stopped.clone().unwrap_or(TransportError::Closed)
    }

    /// Whether anything can be asked.
    fn open(&self) -> TransportResult<()> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(TransportError::Closed);
        }
        self.known.lock().stopped.clone().map_or(Ok(()), Err)
    }

    /// What sends to the inlets that `news` tells.
    fn core(&self, news: Arc<News>, name: &str, mode: Mode, capacity: usize) -> Core {
        let context = lock(&self.sending).clone();
        let core = Core::new(context, news, (name, mode, capacity), self.runtime.clone());
        let mut cores = lock(&self.cores);
        cores.retain(|core| core.strong_count() > 0);
        cores.push(core.downgrade());
        drop(cores);
        if self.is_closed.load(Ordering::SeqCst) {
            // The close may not have seen it.
            core.halt();
        }
        core
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let (context, topics) = (lock(&self.sending).take(), std::mem::take(&mut self.known.lock().topics));
        let posts = std::mem::take(&mut self.posts);
        if context.is_some() {
            // Waits until all is sent, which no task may, and no thread that anyone waits for.
            std::thread::spawn(move || drop((topics, posts, context)));
        }
    }
}

impl ZmqTransport {
    /// Binds the rendezvous at an endpoint on this machine, `tcp://127.0.0.1:5570` or `tcp://127.0.0.1:*`, and takes
    /// part in it.
    ///
    /// # Errors
    ///
    /// The endpoint is none, is not of this machine, or cannot be bound.
    pub async fn host(endpoint: impl Into<String>) -> TransportResult<Self> {
        ZmqOptions::new(endpoint).host().await
    }

    /// Takes part in the rendezvous that another transport hosts.
    ///
    /// # Errors
    ///
    /// The endpoint is none, or there is no host; [`Refused`](TransportError::Refused) where it is of another version.
    pub async fn join(endpoint: impl Into<String>) -> TransportResult<Self> {
        ZmqOptions::new(endpoint).join().await
    }

    /// Where others join.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn start(options: ZmqOptions, hosts: bool) -> TransportResult<Self> {
        let ZmqOptions { mut endpoint, interface, silence, patience, linger } = options;
        let (sending, receiving, runtime) = (zmq::Context::new(), zmq::Context::new(), Handle::current());
        let mut hosting = None;
        if hosts {
            let (plug, bound) = host::bind(&receiving, &endpoint)?;
            let (stop, stopped) = oneshot::channel();
            endpoint = bound;
            hosting = Some(Hosting { stop, task: runtime.spawn(host::serve(plug, silence, stopped)) });
        }
        let (plug, silence) = member::connect(&receiving, &endpoint, patience).await?;
        let (requests, asked) = mpsc::channel(limits::ZMQ_REQUESTS);
        let shared = Arc::new(Shared {
            known: Arc::default(),
            requests,
            sending: Mutex::new(Some(sending)),
            receiving,
            cores: Mutex::default(),
            posts: post::Posts::default(),
            interface,
            runtime: runtime.clone(),
            is_closed: AtomicBool::new(false),
        });
        let speaker = runtime.spawn(Speaker::new(plug, &shared, silence).speak(asked));
        Ok(Self { shared, endpoint, hosts: Mutex::new(hosting), speaker, linger })
    }

    async fn open_outlet(&self, topic: &Topic) -> TransportResult<Box<dyn Outlet>> {
        self.shared.open()?;
        let (answer, _, core) = self.shared.ask_for(Ask::Outlet { topic: Shape::of(topic) }).await?;
        let (Answer::Outlet { id, .. }, Some(core)) = (answer, core) else { return Err(unexpected()) };
        let outlet = ZmqOutlet::new(core, id, Arc::clone(&self.shared));
        // The first connections; where they fail, the outlet is dropped, which undoes it.
        outlet.check()?;
        Ok(Box::new(outlet))
    }

    async fn open_inlet(&self, topic: &Topic) -> TransportResult<Box<dyn Inlet>> {
        self.shared.open()?;
        let (plug, at) = inlet::bind(&self.shared, topic.capacity())?;
        let (answer, news) =
            self.shared.ask(Ask::Inlet { topic: Shape::of(topic), at, alone: topic.is_exclusive() }).await?;
        let Answer::Inlet { id, .. } = answer else { return Err(unexpected()) };
        Ok(Box::new(ZmqInlet::new(plug, (id, Of::Topic, topic.name()), news, Arc::clone(&self.shared))))
    }

    async fn open_mailbox(&self, address: &str) -> TransportResult<Box<dyn Inlet>> {
        check_name("an address", address)?;
        self.shared.open()?;
        let (plug, at) = inlet::bind(&self.shared, limits::MAILBOX)?;
        let (answer, news) = self.shared.ask(Ask::Mailbox { address: address.to_owned(), at }).await?;
        let Answer::Mailbox { id } = answer else { return Err(unexpected()) };
        Ok(Box::new(ZmqInlet::new(plug, (id, Of::Mailbox, address), news, Arc::clone(&self.shared))))
    }

    /// Closes all that sends, and waits until what it has sent has left.
    async fn hang_up(&self) -> TransportResult<()> {
        let cores: Vec<_> = lock(&self.shared.cores).drain(..).filter_map(|core| core.upgrade()).collect();
        let left = cores.into_iter().filter(|core| Core::of(Arc::clone(core)).halt()).count();
        self.shared.posts.clear().await;
        self.shared.known.lock().topics.clear();
        let context = lock(&self.shared.sending).take();
        let (sent, all_sent) = oneshot::channel();
        std::thread::spawn(move || {
            // Waits until nothing is left to be sent.
            drop(context);
            let _ = sent.send(());
        });
        let is_sent = tokio::time::timeout(self.linger, all_sent).await.is_ok();
        if left == 0 && is_sent {
            return Ok(());
        }
        let what = if is_sent {
            format!("{left} outlets held something for nobody")
        } else {
            "a receiver did not take it in time".to_owned()
        };
        Err(TransportError::failed("sending what still waited", std::io::Error::other(what)))
    }

    async fn shut(&self) -> TransportResult<()> {
        if self.shared.is_closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.shared.known.stop(&TransportError::Closed);
        let sent = self.hang_up().await;
        // The host forgets its ends; without an answer it does after its silence.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.shared.ask(Ask::Bye {})).await;
        self.speaker.abort();
        let hosting = lock(&self.hosts).take();
        if let Some(Hosting { stop, task }) = hosting {
            let _ = stop.send(());
            let _ = task.await;
        }
        sent
    }
}

impl fmt::Debug for ZmqTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZmqTransport").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Transport for ZmqTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pipelines: true,
            pubsub: true,
            mailboxes: true,
            competing: true,
            open: !self.shared.interface.is_loopback(),
            ..Capabilities::none("the transport over ZeroMQ")
        }
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        Box::pin(self.open_outlet(topic))
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(self.open_inlet(topic))
    }

    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(self.open_mailbox(address))
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        Box::pin(async move {
            check_name("an address", address)?;
            self.shared.open()?;
            post::post(&self.shared, address, &envelope).await
        })
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        Box::pin(self.shut())
    }
}
