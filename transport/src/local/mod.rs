//! The transport within one OS process: the reference, and the fastest.

mod ends;
pub(crate) mod line;
mod mailbox;

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::ends::{Fan, LocalInlet, LocalOutlet, PubSubOutlet};
use self::line::{Line, LineReceiver, LineSender, Stopped};
use crate::transport::check_name;
use crate::{
    BoxFuture, Capabilities, Envelope, Inlet, Mode, Outlet, Topic, Transport, TransportError, TransportResult, limits,
};

/// Carries items between the tasks of one OS process. Clones are the same transport.
///
/// It is the reference of the [contract](Transport), exact in all of it. Channels over it that are pipelines carry their items as
/// they are, without writing them.
#[derive(Clone, Default)]
pub struct LocalTransport {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    topics: Mutex<HashMap<String, Opened>>,
    boxes: mailbox::Boxes,
    is_closed: AtomicBool,
}

/// A topic that someone has open, or in which something waits.
struct Opened {
    topic: Topic,
    /// Of what the items are.
    items: &'static str,
    way: Arc<dyn Way>,
    users: usize,
}

/// What of a topic does not depend on its items.
pub(crate) trait Way: Any + Send + Sync {
    fn shut(&self);
    fn is_spent(&self) -> bool;
}

impl<T: Send + 'static> Way for Line<T> {
    fn shut(&self) {
        Line::shut(self);
    }

    fn is_spent(&self) -> bool {
        Line::is_spent(self)
    }
}

/// Keeps a topic while someone has it open.
pub(crate) struct Use {
    shared: Arc<Shared>,
    name: String,
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut topics = self.shared.topics();
        let Slot::Occupied(mut slot) = topics.entry(std::mem::take(&mut self.name)) else { return };
        let opened = slot.get_mut();
        opened.users -= 1;
        if opened.users == 0 && !opened.topic.is_lasting() && opened.way.is_spent() {
            slot.remove();
        }
    }
}

impl fmt::Debug for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Use").field(&self.name).finish()
    }
}

impl Shared {
    fn topics(&self) -> MutexGuard<'_, HashMap<String, Opened>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a line says, as what the transport says.
pub(crate) fn stopped(stopped: Stopped, topic: &str) -> TransportError {
    match stopped {
        Stopped::Over => TransportError::Ended { topic: topic.to_owned() },
        Stopped::Shut => TransportError::Closed,
    }
}

impl LocalTransport {
    /// A transport on which there is nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a topic, whose items are `T`s, on a way that is made where there is none.
    fn open<T: 'static, W: Way>(&self, topic: &Topic, new: impl FnOnce() -> W) -> TransportResult<(Arc<W>, Use)> {
        let mut topics = self.shared.topics();
        if self.shared.is_closed.load(Ordering::SeqCst) {
            return Err(TransportError::Closed);
        }
        if topics.len() >= limits::TOPICS && !topics.contains_key(topic.name()) {
            let (what, size) = ("a local transport in topics", topics.len());
            return Err(TransportError::TooLarge { what, size, limit: limits::TOPICS });
        }
        let items = type_name::<T>();
        let opened = topics.entry(topic.name().to_owned()).or_insert_with(|| Opened {
            topic: topic.clone(),
            items,
            way: Arc::new(new()),
            users: 0,
        });
        let differs = differs(&opened.topic, topic)
            .or_else(|| (opened.items != items).then(|| format!("its items are `{}`, not `{items}`", opened.items)));
        let way: Arc<dyn Any + Send + Sync> = Arc::<dyn Way>::clone(&opened.way);
        match (differs, way.downcast()) {
            (None, Ok(way)) => {
                opened.users += 1;
                Ok((way, Use { shared: Arc::clone(&self.shared), name: topic.name().to_owned() }))
            }
            (reason, _) => Err(TransportError::Mismatch {
                topic: topic.name().to_owned(),
                reason: reason.unwrap_or_else(|| "its items are others".to_owned()),
            }),
        }
    }

    /// Sends items as they are.
    pub(crate) fn sender<T: Send + 'static>(&self, topic: &Topic) -> TransportResult<(LineSender<T>, Use)> {
        let (line, used) = self.open::<T, _>(topic, || Line::<T>::new(topic.capacity()))?;
        let sender = LineSender::new(line).map_err(|error| stopped(error, topic.name()))?;
        Ok((sender, used))
    }

    /// Receives items as they are.
    pub(crate) fn receiver<T: Send + 'static>(&self, topic: &Topic) -> TransportResult<(LineReceiver<T>, Use)> {
        let (line, used) = self.open::<T, _>(topic, || Line::<T>::new(topic.capacity()))?;
        let receiver = LineReceiver::join(line, topic.is_exclusive());
        let receiver = receiver.map_err(|error| stopped(error, topic.name()))?;
        let receiver = receiver.ok_or_else(|| TransportError::Occupied { topic: topic.name().to_owned() })?;
        Ok((receiver, used))
    }

    fn open_outlet(&self, topic: &Topic) -> TransportResult<Box<dyn Outlet>> {
        Ok(match topic.mode() {
            Mode::Pipeline => {
                let (sender, used) = self.sender::<Envelope>(topic)?;
                Box::new(LocalOutlet::new(sender, used, topic.name().to_owned()))
            }
            Mode::PubSub => {
                let (fan, used) = self.open::<Envelope, _>(topic, || Fan::new(topic.capacity()))?;
                Box::new(PubSubOutlet::new(fan, used, topic.name().to_owned())?)
            }
        })
    }

    fn open_inlet(&self, topic: &Topic) -> TransportResult<Box<dyn Inlet>> {
        let (receiver, used) = match topic.mode() {
            Mode::Pipeline => self.receiver::<Envelope>(topic)?,
            Mode::PubSub => {
                let (fan, used) = self.open::<Envelope, _>(topic, || Fan::new(topic.capacity()))?;
                (fan.subscribe().map_err(|error| stopped(error, topic.name()))?, used)
            }
        };
        Ok(Box::new(LocalInlet::new(receiver, topic.mode() == Mode::PubSub, Some(used))))
    }
}

/// In what a topic differs from the one that is open.
fn differs(open: &Topic, asked: &Topic) -> Option<String> {
    if open.mode() != asked.mode() {
        return Some(format!("its mode is {:?}, not {:?}", open.mode(), asked.mode()));
    }
    if open.capacity() != asked.capacity() {
        return Some(format!("its capacity is {}, not {}", open.capacity(), asked.capacity()));
    }
    (open.is_lasting() != asked.is_lasting())
        .then(|| if open.is_lasting() { "it is lasting".to_owned() } else { "it is not lasting".to_owned() })
}

impl fmt::Debug for LocalTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTransport").finish_non_exhaustive()
    }
}

impl Transport for LocalTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pipelines: true,
            pubsub: true,
            mailboxes: true,
            acks: true,
            competing: true,
            exact: true,
            ..Capabilities::none("the local transport")
        }
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        Box::pin(async { self.open_outlet(topic) })
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async { self.open_inlet(topic) })
    }

    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async move {
            check_name("an address", address)?;
            if self.shared.is_closed.load(Ordering::SeqCst) {
                return Err(TransportError::Closed);
            }
            Ok(Box::new(self.shared.boxes.own(address)?) as _)
        })
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        Box::pin(async move {
            if self.shared.is_closed.load(Ordering::SeqCst) {
                return Err(TransportError::Closed);
            }
            self.shared.boxes.post(address, envelope).await
        })
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        Box::pin(async {
            let topics = {
                let mut topics = self.shared.topics();
                self.shared.is_closed.store(true, Ordering::SeqCst);
                std::mem::take(&mut *topics)
            };
            for opened in topics.values() {
                opened.way.shut();
            }
            self.shared.boxes.shut();
            Ok(())
        })
    }

    fn local(&self) -> Option<&LocalTransport> {
        Some(self)
    }
}
