//! The trait that each way to carry envelopes implements.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};

use crate::{BoxFuture, Envelope, LocalTransport, TransportError, TransportResult, limits};

/// A way to carry envelopes: memory, a broker, sockets.
///
/// # Contract
///
/// Of topics, as far as its [capabilities](Self::capabilities) go:
///
/// 1. Each envelope of a [pipeline](Mode::Pipeline) is taken by one of its receivers; where there is none, it waits.
/// 2. Each envelope of a [pubsub](Mode::PubSub) topic comes once to each receiver that was there when it was sent, and to no other.
/// 3. What one sender sent comes in its order.
/// 4. A sender waits while as many envelopes wait as the topic's capacity says; nothing is dropped for want of room.
/// 5. When the last sender has closed, each receiver gets what was sent before and then the end; all that wait are woken. To a topic
///    that has ended nothing can be sent while anyone still receives from it.
/// 6. What is received is acknowledged, or given back: then it comes again, to this receiver or another of the pipeline, before what
///    was sent later; so does what a lost receiver had, once it is known to be lost. With `acks` only.
/// 7. Whatever waits can be cancelled at any time: nothing is lost, sent or received twice for it.
/// 8. An address of a mailbox has one owner, and what is posted to an address that nobody has is an error, not silence.
/// 9. A transport that is closed wakes all who wait at it, and refuses what is asked of it later.
/// 10. Who receives from a pipeline as an [exclusive](Topic::exclusive) one does so alone: it is refused while another receives, or has
///     something of it that is neither acknowledged nor given back. So nothing that was sent later comes before that, however the other
///     was lost.
///
/// An outlet that is dropped without being closed ends nothing: another may go on in its place.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// A way into a topic.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](TransportError::Unsupported) where the transport has no such topics, [`Mismatch`](TransportError::Mismatch)
    /// where the topic is open with another mode or capacity, [`Ended`](TransportError::Ended) where it has ended.
    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>>;

    /// A way out of a topic.
    ///
    /// # Errors
    ///
    /// As of [`outlet`](Self::outlet); of a topic that has ended, the end is received. [`Occupied`](TransportError::Occupied) where it,
    /// or who receives from it already, wants to be alone.
    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>>;

    /// The mailbox of an address, until it is closed or dropped.
    ///
    /// # Errors
    ///
    /// [`Taken`](TransportError::Taken) where somebody has it; [`Unsupported`](TransportError::Unsupported).
    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>>;

    /// Puts an envelope into a mailbox, and waits while it is full.
    ///
    /// # Errors
    ///
    /// [`NoSuchAddress`](TransportError::NoSuchAddress) where nobody has the address; [`Unsupported`](TransportError::Unsupported).
    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>>;

    /// Has what is posted to an address given to `taker` where it is received, without a task and a queue between; `None` where the
    /// transport cannot, and [`mailbox`](Self::mailbox) is to be used. The address is the taker's until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// As of [`mailbox`](Self::mailbox).
    fn hand_to(&self, address: &str, taker: Arc<dyn Taker>) -> Option<TransportResult<Box<dyn Any + Send + Sync>>> {
        let _ = (address, taker);
        None
    }

    /// What others post to, so that it reaches the mailbox that is called `address` here: as an envelope's sender it is where answers go.
    fn address(&self, address: &str) -> String {
        address.to_owned()
    }

    /// Closes it, with all that is open.
    ///
    /// # Errors
    ///
    /// What was still to be sent could not be.
    fn close(&self) -> BoxFuture<'_, TransportResult<()>>;

    /// Itself, where it carries items within this OS process, and need not write them.
    fn local(&self) -> Option<&LocalTransport> {
        None
    }
}

/// Who takes what is posted to an address, as it is received. It may not wait, and has to keep to bounds of its own.
pub trait Taker: Send + Sync {
    /// Takes an envelope.
    fn take(&self, envelope: Envelope);
}

/// What a transport can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)]
pub struct Capabilities {
    /// Its name, for errors.
    pub name: &'static str,
    /// It has topics whose receivers compete.
    pub pipelines: bool,
    /// It has topics whose receivers each get everything.
    pub pubsub: bool,
    /// It has mailboxes.
    pub mailboxes: bool,
    /// What is received and not acknowledged comes again.
    pub acks: bool,
    /// What was sent to a [lasting](Topic::lasting) topic survives the OS process.
    pub durable: bool,
    /// Receivers of one pipeline may be several.
    pub competing: bool,
    /// The capacity is exact; otherwise what is on its way comes on top of it.
    pub exact: bool,
    /// A mailbox gets an envelope [`Lost`](crate::Kind::Lost) when one who posted to it is gone.
    pub tells_loss: bool,
    /// Whoever reaches it over a network can take part, and is not asked who he is.
    pub open: bool,
}

impl Capabilities {
    /// Of a transport that can do nothing yet.
    pub const fn none(name: &'static str) -> Self {
        Self {
            name,
            pipelines: false,
            pubsub: false,
            mailboxes: false,
            acks: false,
            durable: false,
            competing: false,
            exact: false,
            tells_loss: false,
            open: false,
        }
    }

    /// The error that says so where a topic of `mode` is not among them.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](TransportError::Unsupported).
    pub fn has(self, mode: Mode) -> TransportResult<()> {
        let (has, what) = match mode {
            Mode::Pipeline => (self.pipelines, "pipelines"),
            Mode::PubSub => (self.pubsub, "topics with subscribers"),
        };
        if has { Ok(()) } else { Err(TransportError::Unsupported { what, transport: self.name }) }
    }
}

/// Who gets what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One of the receivers.
    #[default]
    Pipeline,
    /// Each of the receivers.
    PubSub,
}

/// What connects senders with receivers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    name: String,
    mode: Mode,
    capacity: NonZeroUsize,
    lasting: bool,
    exclusive: bool,
}

impl Topic {
    /// A topic with the default capacity.
    ///
    /// # Errors
    ///
    /// [`Name`](TransportError::Name) where the name is empty, longer than [`limits::TOPIC_BYTES`], or has control characters.
    pub fn new(name: impl Into<String>, mode: Mode) -> TransportResult<Self> {
        let name = name.into();
        check_name("a topic", &name)?;
        Ok(Self {
            name,
            mode,
            capacity: NonZeroUsize::new(limits::CAPACITY).unwrap_or(NonZeroUsize::MIN),
            lasting: false,
            exclusive: false,
        })
    }

    /// With room for so many envelopes.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](TransportError::TooLarge) above [`limits::CAPACITY_MAX`].
    pub fn with_capacity(self, capacity: NonZeroUsize) -> TransportResult<Self> {
        let (what, size, limit) = ("a topic in envelopes", capacity.get(), limits::CAPACITY_MAX);
        if size > limit { Err(TransportError::TooLarge { what, size, limit }) } else { Ok(Self { capacity, ..self }) }
    }

    /// It stays when nobody has it open, and what was sent stays in it: in a durable transport beyond the end of the OS process.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// Who receives from it, if it is a pipeline, does so alone: the order of what comes holds also where one receiver follows another
    /// that was lost. Matters to receivers only.
    #[must_use]
    pub fn exclusive(self) -> Self {
        Self { exclusive: true, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who gets what is sent.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// So many envelopes wait in it: of a pipeline altogether, otherwise for each receiver.
    pub fn capacity(&self) -> usize {
        self.capacity.get()
    }

    /// Whether it stays when nobody has it open.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// Whether a receiver wants to be alone.
    pub fn is_exclusive(&self) -> bool {
        self.exclusive && self.mode == Mode::Pipeline
    }
}

/// Whether this can be the name of a topic, or an address.
///
/// # Errors
///
/// [`Name`](TransportError::Name).
pub(crate) fn check_name(what: &'static str, name: &str) -> TransportResult<()> {
    let reason = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > limits::TOPIC_BYTES {
        format!("it has {} bytes, and may have {}", name.len(), limits::TOPIC_BYTES)
    } else if name.chars().any(char::is_control) {
        "it has control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(TransportError::Name { name: name.chars().take(100).collect(), what, reason })
}

/// A way into a topic. Like a sink: ask whether there is room, then put an envelope in.
pub trait Outlet: fmt::Debug + Send {
    /// Whether there is room for one envelope more.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>>;

    /// Takes an envelope, after [`poll_ready`](Self::poll_ready) said that there is room.
    ///
    /// # Errors
    ///
    /// It is too large, or the outlet is closed.
    fn start_send(&mut self, envelope: Envelope) -> TransportResult<()>;

    /// Waits until all that was taken is where it is safe: with a durable transport on its disk.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>>;

    /// Flushes, and says that nothing comes any more from here. A second time it does nothing.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>>;
}

impl dyn Outlet {
    /// Sends an envelope once there is room. When it is cancelled, the envelope was not sent.
    ///
    /// # Errors
    ///
    /// As of the transport.
    pub async fn send(&mut self, envelope: Envelope) -> TransportResult<()> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.start_send(envelope)
    }

    /// Waits until all that was sent is safe.
    ///
    /// # Errors
    ///
    /// As of the transport.
    pub async fn flush(&mut self) -> TransportResult<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Flushes, and says that nothing comes any more from here.
    ///
    /// # Errors
    ///
    /// As of the transport.
    pub async fn close(&mut self) -> TransportResult<()> {
        poll_fn(|cx| self.poll_close(cx)).await
    }
}

/// A way out of a topic, or a mailbox. Dropped, it gives back what was not acknowledged.
pub trait Inlet: fmt::Debug + Send {
    /// The next envelope; `None` at the end, and ever after. An end is told before what was given back by this inlet itself comes
    /// again only if nothing of it is still unacknowledged elsewhere.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>>;

    /// Waits until all acknowledgements are where they count, and leaves.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>>;
}

impl dyn Inlet {
    /// The next envelope, or `None` at the end. When it is cancelled, nothing was received.
    ///
    /// # Errors
    ///
    /// As of the transport.
    pub async fn recv(&mut self) -> TransportResult<Option<Delivery>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Waits until all acknowledgements are where they count, and leaves.
    ///
    /// # Errors
    ///
    /// As of the transport.
    pub async fn close(&mut self) -> TransportResult<()> {
        poll_fn(|cx| self.poll_close(cx)).await
    }
}

/// What was received.
#[derive(Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// It.
    pub envelope: Envelope,
    /// Whether it may have been received before.
    pub again: bool,
    /// Acknowledges it; dropped, it gives it back.
    pub receipt: Receipt,
}

impl Delivery {
    /// An envelope for the first time.
    pub fn new(envelope: Envelope, receipt: Receipt) -> Self {
        Self { envelope, again: false, receipt }
    }

    /// It may have been received before.
    pub fn with_again(self, again: bool) -> Self {
        Self { again, ..self }
    }
}

/// The right to acknowledge one envelope. Dropped, it gives the envelope back.
#[must_use = "a receipt that is dropped gives its envelope back"]
pub struct Receipt {
    keeper: Option<Arc<dyn Keeper>>,
    tag: u64,
}

impl Receipt {
    /// Of an envelope that `keeper` knows under a tag.
    pub fn new(keeper: Arc<dyn Keeper>, tag: u64) -> Self {
        Self { keeper: Some(keeper), tag }
    }

    /// Of an envelope that nobody waits for to be acknowledged.
    pub fn none() -> Self {
        Self { keeper: None, tag: 0 }
    }

    /// It was dealt with, and does not come again.
    pub fn ack(mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.ack(self.tag);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.release(self.tag);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// Who is told what became of envelopes that were received. Neither method may wait.
pub trait Keeper: Send + Sync {
    /// It was dealt with.
    fn ack(&self, tag: u64);
    /// It is to come again.
    fn release(&self, tag: u64);
}
