//! The transport over RabbitMQ.
//!
//! What a topic is at the broker stands in `topology`. Each end has a task, which serves it over one connection after the other:
//! `sending` for an [outlet](outlet), `receiving` for an [inlet](inlet); the end and its task share what is not confirmed, or not
//! acknowledged. There are two connections, made by `link`: one for what is published, one for what is consumed.
//!
//! # The end
//!
//! The broker knows who is there: each open outlet consumes from `<topic>.senders`, in which there is never anything, and each open inlet
//! from `<topic>.receivers`. An outlet that closes cancels and asks how many are left; if none are, it puts an end into
//! `<topic>.receivers` for each inlet, and one for who comes later. Subscribers get theirs in their own queues, behind what was published.
//! The inlets of a pipeline then agree on when nothing is left, by the consumers of its queue: see `receiving`. Two that close at the
//! same moment may both put ends there, which does no harm.

mod inlet;
mod link;
mod options;
mod outlet;
mod receiving;
mod sending;
mod topology;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

pub use self::options::AmqpOptions;

use self::inlet::{AmqpInlet, Arrived};
use self::link::{Link, Lost, answered, failed};
use self::outlet::{AmqpOutlet, Pending};
use self::receiving::{Receiving, Source};
use self::sending::Sending;
use self::topology::{Place, short};
use crate::transport::check_name;
use crate::{
    BoxFuture, Capabilities, Content, Envelope, Inlet, Kind, Mode, Outlet, Topic, Transport, TransportError,
    TransportResult, limits,
};

/// What the message that says the end is marked with: no envelope of a sender is taken for it.
const END: &str = "end";

/// Carries envelopes over a RabbitMQ server, 3.10 or newer. Clones are the same transport.
///
/// A topic is an exchange of its name, `direct` for a pipeline, which has a queue of the same name, and `fanout` for subscribers, each of
/// whom has a queue `<topic>.<16 letters and digits>`. `rabbitmqctl` lists them. What is not [lasting](Topic::lasting) is not written to the
/// broker's disk, and goes away when both ends have closed, or [`limits::UNUSED`] after nobody uses it any more.
///
/// What was sent is confirmed by the broker, and sent again over the next connection where it was not; a channel's receiver leaves out
/// what comes twice. What an inlet gave out before a connection was lost, it does not give out again. Without a connection both wait.
///
/// What it has not:
/// - A subscriber, or the owner of a mailbox, misses what is sent while its connection is lost: their queues go with it.
/// - Of two receivers that compete, each may get a copy of what was sent again after a lost connection, and of what another had when it
///   was lost.
/// - While an outlet in another OS process has no connection, the broker does not count it: the last one of the others that closes ends
///   the topic. One that has itself lost its connection waits for [`limits::RECONNECT_MOST`] first, for others to be back.
#[derive(Clone)]
pub struct AmqpTransport {
    core: Arc<Core>,
}

/// What the ends keep alive beyond the transport itself.
struct Core {
    options: Arc<AmqpOptions>,
    /// What is published goes over a connection of its own: the broker stops reading one that publishes too much.
    sending: Arc<Link>,
    receiving: Arc<Link>,
    stop: watch::Sender<bool>,
    leaving: Arc<Leaving>,
    unsent: Arc<AtomicUsize>,
    /// Every task has one of its receivers.
    tasks: watch::Sender<()>,
    posts: Semaphore,
    /// Channels on which nothing is on its way.
    idle: Mutex<Vec<Channel>>,
    /// Mailboxes are opened one by one.
    opening: tokio::sync::Mutex<()>,
}

/// Outlets that were dropped, and still send what was sent before that.
#[derive(Default)]
struct Leaving(Mutex<HashMap<String, Vec<watch::Receiver<()>>>>);

impl Leaving {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<watch::Receiver<()>>>> {
        let mut leaving = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|_, outlets| {
            outlets.retain(|gone| gone.has_changed().is_ok());
            !outlets.is_empty()
        });
        leaving
    }

    fn add(&self, topic: &str, gone: watch::Receiver<()>) {
        self.lock().entry(topic.to_owned()).or_default().push(gone);
    }

    /// Ends when all of a topic are gone, or after a while.
    async fn others(&self, topic: &str) {
        let outlets = self.lock().get(topic).cloned().unwrap_or_default();
        let all = async {
            for mut gone in outlets {
                while gone.changed().await.is_ok() {}
            }
        };
        let _ = timeout(limits::LEAVE, all).await;
    }
}

impl AmqpTransport {
    /// Connects to the broker. When the connection is lost later, it connects again.
    ///
    /// # Errors
    ///
    /// [`Failed`](TransportError::Failed) where it is not reached, [`Refused`](TransportError::Refused) where it does not want us; neither
    /// shows the password.
    pub async fn connect(options: AmqpOptions) -> TransportResult<Self> {
        let options = Arc::new(options);
        let (stop, stopped) = watch::channel(false);
        let link = || Arc::new(Link::new(Arc::clone(&options), stopped.clone()));
        let (sending, receiving) = (link(), link());
        sending.channel().await?;
        let core = Core {
            options,
            sending,
            receiving,
            stop,
            leaving: Arc::default(),
            unsent: Arc::default(),
            tasks: watch::Sender::new(()),
            posts: Semaphore::new(limits::POSTS),
            idle: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        };
        Ok(Self { core: Arc::new(core) })
    }

    fn check(&self, topic: &Topic) -> TransportResult<Place> {
        if self.core.sending.is_stopped() {
            return Err(TransportError::Closed);
        }
        Place::new(topic)
    }

    async fn open_outlet(&self, topic: &Topic) -> TransportResult<Box<dyn Outlet>> {
        let (core, place) = (&self.core, self.check(topic)?);
        // In whose place this one goes on.
        core.leaving.others(topic.name()).await;
        let session = sending::open(&core.sending, &place, true).await?;
        let pending = Arc::new(Pending::new(topic.name(), topic.capacity()));
        let (gone, ended) = watch::channel(());
        let sending = Sending {
            link: Arc::clone(&core.sending),
            place,
            pending: Arc::clone(&pending),
            leaving: Arc::clone(&core.leaving),
            id: short(&random())?,
            unsent: Arc::clone(&core.unsent),
            gone,
        };
        let outlet = AmqpOutlet::new(pending, Arc::clone(core), ended);
        // With the transport, so that what was sent before both were dropped is sent.
        let (core, task) = (Arc::clone(core), core.tasks.subscribe());
        tokio::spawn(async move {
            sending.run(session).await;
            drop((task, core));
        });
        Ok(Box::new(outlet))
    }

    async fn open_inlet(&self, source: Source, name: &str) -> TransportResult<Box<dyn Inlet>> {
        let core = &self.core;
        let session = receiving::open(&core.receiving, &source).await?;
        let arrived = Arc::new(Arrived::new(name));
        let receiving = Receiving { link: Arc::clone(&core.receiving), source, arrived: Arc::clone(&arrived) };
        let inlet = AmqpInlet::new(arrived, Arc::clone(core));
        let (core, task) = (Arc::clone(core), core.tasks.subscribe());
        tokio::spawn(async move {
            receiving.run(session).await;
            drop((task, core));
        });
        Ok(Box::new(inlet))
    }

    fn mailbox_name(&self, address: &str) -> TransportResult<ShortString> {
        check_name("an address", address)?;
        if self.core.sending.is_stopped() {
            return Err(TransportError::Closed);
        }
        short(&format!("{}{address}", self.core.options.mailbox_prefix))
    }

    /// Posts once over a channel of its own: what comes back is what was posted.
    async fn try_post(&self, queue: &ShortString, body: &Bytes) -> Result<Posted, Lost> {
        let core = &self.core;
        let idle = core.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let channel = if let Some(channel) = idle.filter(|channel| channel.status().connected()) {
            channel
        } else {
            let channel = match core.sending.channel().await {
                Ok(channel) => channel,
                Err(error) => return Ok(Posted::Failed(error)),
            };
            answered(channel.confirm_select(ConfirmSelectOptions::default())).await?;
            channel
        };
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = BasicProperties::default().with_delivery_mode(1);
        let posted = async {
            channel.basic_publish(ShortString::default(), queue.clone(), options, body, properties).await?.await
        };
        let confirmation = answered(posted).await?;
        core.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        let is_taken = confirmation.is_ack();
        Ok(match (confirmation.take_message(), is_taken) {
            (Some(_), _) => Posted::Returned,
            (None, true) => Posted::Taken,
            (None, false) => Posted::Full,
        })
    }

    async fn post_it(&self, address: &str, envelope: &Envelope) -> TransportResult<()> {
        let (queue, body) = (self.mailbox_name(address)?, envelope.encode()?);
        let mut delay = limits::GATHER;
        loop {
            let posted = {
                let _place = self.core.posts.acquire().await.map_err(|_| TransportError::Closed)?;
                self.try_post(&queue, &body).await
            };
            match posted.map_err(|lost| failed("a post", lost))? {
                Posted::Taken => return Ok(()),
                Posted::Returned => return Err(TransportError::NoSuchAddress { address: address.to_owned() }),
                Posted::Failed(error) => return Err(error),
                Posted::Full => sleep(delay).await,
            }
            delay = (delay * 2).min(limits::ROOM);
        }
    }
}

enum Posted {
    Taken,
    Returned,
    Full,
    Failed(TransportError),
}

/// 16 letters and digits (C26).
fn random() -> String {
    crate::channel::job_id().split_off("Job_".len())
}

/// The message that says the end.
fn end_envelope() -> Bytes {
    let end = Envelope::new(Kind::End, Arc::default(), Content::Bytes, Bytes::new());
    // It passes no bound.
    end.encode().unwrap_or_default()
}

/// Puts an end into a queue.
async fn tell(channel: &Channel, queue: &ShortString) -> Result<(), Lost> {
    let properties = BasicProperties::default().with_delivery_mode(2).with_type(END.into());
    let (exchange, options) = (ShortString::default(), BasicPublishOptions::default());
    let told = async {
        let end = end_envelope();
        channel.basic_publish(exchange, queue.clone(), options, &end, properties).await?.await.map(drop)
    };
    answered(told).await
}

impl fmt::Debug for AmqpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpTransport").field("broker", &self.core.options.to_string()).finish_non_exhaustive()
    }
}

impl Transport for AmqpTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pipelines: true,
            pubsub: true,
            mailboxes: true,
            acks: true,
            durable: true,
            competing: true,
            ..Capabilities::none("the transport over AMQP")
        }
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        Box::pin(self.open_outlet(topic))
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async move {
            let place = self.check(topic)?;
            let source = match topic.mode() {
                Mode::Pipeline => Source::Pipeline(place),
                Mode::PubSub => {
                    let queue = short(&format!("{}.{}", topic.name(), random()))?;
                    Source::PubSub(place, queue)
                }
            };
            self.open_inlet(source, topic.name()).await
        })
    }

    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async move {
            let source = Source::Mailbox(self.mailbox_name(address)?, address.to_owned());
            let _one = self.core.opening.lock().await;
            self.open_inlet(source, address).await
        })
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        Box::pin(async move {
            let stopped = self.core.sending.stopped();
            tokio::select! {
                biased;
                () = stopped => Err(TransportError::Closed),
                posted = self.post_it(address, &envelope) => posted,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        Box::pin(async {
            self.core.stop.send_replace(true);
            // Every task ends by that, after what is on its way has arrived.
            let _ = timeout(limits::LEAVE * 2, self.core.tasks.closed()).await;
            self.core.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            self.core.sending.close().await;
            self.core.receiving.close().await;
            match self.core.unsent.swap(0, Ordering::SeqCst) {
                0 => Ok(()),
                unsent => Err(TransportError::Refused {
                    what: "what was still to be sent",
                    reason: format!("{unsent} envelopes were not taken before the transport was closed"),
                }),
            }
        })
    }
}
