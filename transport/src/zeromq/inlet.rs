//! Out of a topic, or of a mailbox.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, coop};
use zmq::Message;

use super::core::{high_water, kernel_bytes};
use super::news::News;
use super::plug::{Plug, failed, last_endpoint};
use super::wire::Ask;
use super::{MARK, Shared, spawn_undo};
use crate::{Delivery, Envelope, Inlet, Kind, Receipt, TransportError, TransportResult, limits};

/// What an inlet is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Topic,
    Mailbox,
}

pub(super) struct ZmqInlet {
    /// Until it is closed.
    plug: Option<Plug>,
    id: u64,
    of: Of,
    /// What the first frame has to be.
    topic: Vec<u8>,
    news: Arc<News>,
    /// Outlets whose end has come.
    ended: HashSet<u64>,
    /// Outlets whose end is to come, when all have closed.
    over: Option<Vec<u64>>,
    has_ended: bool,
    stopped: Option<TransportError>,
    closing: Option<JoinHandle<TransportResult<()>>>,
    frame: Message,
    /// Of what came last.
    sender: Arc<str>,
    shared: Arc<Shared>,
}

impl fmt::Debug for ZmqInlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZmqInlet").field("id", &self.id).field("of", &self.of).finish_non_exhaustive()
    }
}

/// A socket that takes what is sent to an inlet, and where it is bound.
pub(super) fn bind(shared: &Shared, capacity: usize) -> TransportResult<(Plug, String)> {
    let socket = shared.receiving.socket(zmq::PULL).map_err(failed("making a socket"))?;
    let set = || {
        socket.set_rcvhwm(high_water(capacity))?;
        socket.set_rcvbuf(kernel_bytes(capacity))?;
        socket.set_maxmsgsize(i64::try_from(limits::ENVELOPE_BYTES + (1 << 20)).unwrap_or(i64::MAX))?;
        socket.set_linger(0)?;
        socket.set_ipv6(shared.interface.is_ipv6())?;
        socket.bind(&super::endpoint_at(shared.interface))
    };
    set().map_err(failed("binding an inlet"))?;
    let at = last_endpoint(&socket)?;
    Ok((Plug::new(socket)?, at))
}

/// What came.
enum Came {
    Envelope(Envelope),
    Mark(u64),
    Nothing,
}

impl ZmqInlet {
    pub(super) fn new(plug: Plug, (id, of, topic): (u64, Of, &str), news: Arc<News>, shared: Arc<Shared>) -> Self {
        Self {
            plug: Some(plug),
            id,
            of,
            topic: topic.as_bytes().to_vec(),
            news,
            ended: HashSet::new(),
            over: None,
            has_ended: false,
            stopped: None,
            closing: None,
            frame: Message::new(),
            sender: Arc::default(),
            shared,
        }
    }

    /// The next message, if there is one.
    fn come(&mut self) -> TransportResult<Came> {
        let Some(plug) = &self.plug else { return Ok(Came::Nothing) };
        if !plug.try_recv(&mut self.frame)? {
            return Ok(Came::Nothing);
        }
        let malformed = |reason: &str| TransportError::Malformed { reason: reason.to_owned() };
        let is_ours = *self.frame == *self.topic;
        let mut frames = 1;
        // All frames of a message are there, or none.
        while self.frame.get_more() && plug.try_recv(&mut self.frame)? {
            frames += 1;
        }
        if frames != 2 {
            return Err(malformed("it has not two frames"));
        }
        if !is_ours {
            return Err(malformed("it is of another topic"));
        }
        let (mut envelope, body) = Envelope::decode_head(&self.frame, Some(&self.sender))?;
        envelope.body = if self.frame.len() < limits::ZMQ_COPY_BYTES {
            Bytes::copy_from_slice(self.frame.get(body..).unwrap_or_default())
        } else {
            Bytes::from_owner(Owned(std::mem::replace(&mut self.frame, Message::new()))).slice(body..)
        };
        if !Arc::ptr_eq(&envelope.sender, &self.sender) {
            self.sender = Arc::clone(&envelope.sender);
        }
        let is_mark = envelope.kind == Kind::End && &*envelope.subject == MARK;
        Ok(if is_mark { Came::Mark(envelope.correlation) } else { Came::Envelope(envelope) })
    }

    /// Whether the end of each outlet has come.
    fn is_over(&self) -> bool {
        self.over.as_ref().is_some_and(|senders| senders.iter().all(|sender| self.ended.contains(sender)))
    }

    fn leaving(&self) -> Ask {
        match self.of {
            Of::Topic => Ask::Leave { inlet: self.id, told: self.has_ended },
            Of::Mailbox => Ask::GiveUp { mailbox: self.id },
        }
    }
}

/// A message as the bytes of a body.
struct Owned(Message);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Inlet for ZmqInlet {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            if self.has_ended || self.plug.is_none() {
                return Poll::Ready(Ok(None));
            }
            match self.come()? {
                Came::Envelope(envelope) => {
                    budget.made_progress();
                    return Poll::Ready(Ok(Some(Delivery::new(envelope, Receipt::none()))));
                }
                Came::Mark(sender) => {
                    // What no outlet has sent is forgotten.
                    if self.ended.len() < limits::ZMQ_TOPICS {
                        self.ended.insert(sender);
                    }
                    continue;
                }
                Came::Nothing => {}
            }
            if let Some(told) = self.news.take() {
                self.over = told.over.or(self.over.take());
                self.stopped = told.stopped.or(self.stopped.take());
            } else if self.is_over() {
                self.has_ended = true;
            } else if let Some(error) = &self.stopped {
                return Poll::Ready(Err(error.clone()));
            } else if !self.news.wait(cx.waker())
                && let Some(plug) = &self.plug
            {
                ready!(plug.poll_change(cx))?;
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        if self.plug.take().is_some() {
            self.shared.known.lock().by_id.remove(&self.id);
            let (shared, ask) = (Arc::clone(&self.shared), self.leaving());
            self.closing = Some(self.shared.runtime.spawn(async move { shared.ask(ask).await.map(drop) }));
        }
        let Some(closing) = &mut self.closing else { return Poll::Ready(Ok(())) };
        let closed = ready!(Pin::new(closing).poll(cx));
        self.closing = None;
        Poll::Ready(closed.unwrap_or(Err(TransportError::Closed)))
    }
}

impl Drop for ZmqInlet {
    fn drop(&mut self) {
        if self.plug.take().is_some() {
            self.shared.known.lock().by_id.remove(&self.id);
            spawn_undo(Arc::clone(&self.shared), self.leaving());
        }
    }
}
