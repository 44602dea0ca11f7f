//! What sends items.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Carried, ChannelError, ChannelResult};
use crate::local::Use;
use crate::local::line::{LineSender, Stopped};
use crate::{Content, Envelope, Kind, Outlet, Topic};

/// Sends items into a channel. Dropped without [`close`](Self::close) it does not end the channel: another may go on in its place.
#[derive(Debug)]
pub struct Sender<T> {
    way: Way<T>,
    topic: String,
    capacity: usize,
    is_closed: bool,
}

#[derive(Debug)]
enum Way<T> {
    /// As they are.
    // The line is left before the topic is given up.
    Here { line: LineSender<T>, _used: Use },
    /// Written, with a number of this sender.
    Written { outlet: Box<dyn Outlet>, name: Arc<str>, number: u64 },
}

impl<T: Carried> Sender<T> {
    pub(super) fn here(line: LineSender<T>, used: Use, topic: &Topic) -> Self {
        Self::new(Way::Here { line, _used: used }, topic)
    }

    pub(super) fn written(outlet: Box<dyn Outlet>, topic: &Topic, name: Arc<str>, number: u64) -> Self {
        Self::new(Way::Written { outlet, name, number }, topic)
    }

    fn new(way: Way<T>, topic: &Topic) -> Self {
        Self { way, topic: topic.name().to_owned(), capacity: topic.capacity(), is_closed: false }
    }

    /// Sends an item, once there is room. When it is cancelled, the item was not sent.
    ///
    /// # Errors
    ///
    /// [`Closed`](ChannelError::Closed) after [`close`](Self::close), or when the transport is closed;
    /// [`Unwritable`](ChannelError::Unwritable) where the item cannot be JSON.
    pub async fn send(&mut self, item: T) -> ChannelResult<()> {
        if self.is_closed {
            return Err(self.closed());
        }
        match &mut self.way {
            Way::Here { line, .. } => {
                let mut item = Some(item);
                let sent = poll_fn(|cx| line.poll_send(&mut item, cx)).await;
                sent.map_err(|_: Stopped| self.closed())
            }
            Way::Written { outlet, name, number } => {
                let body = serde_json::to_vec(&item).map_err(|source| ChannelError::Unwritable {
                    topic: self.topic.clone(),
                    source: Arc::new(source),
                })?;
                let envelope = Envelope {
                    number: *number,
                    ..Envelope::new(Kind::Data, Arc::clone(name), Content::Json, body.into())
                };
                outlet.send(envelope).await.map_err(|error| ChannelError::of(&self.topic, error))?;
                *number += 1;
                Ok(())
            }
        }
    }

    /// Waits until all that was sent is where it is safe: over a broker, until the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// The transport failed.
    pub async fn flush(&mut self) -> ChannelResult<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<ChannelResult<()>> {
        match &mut self.way {
            Way::Here { .. } => Poll::Ready(Ok(())),
            Way::Written { outlet, .. } => outlet.poll_flush(cx).map_err(|error| ChannelError::of(&self.topic, error)),
        }
    }

    /// Says that nothing comes any more from here, after what was sent. Receivers get all of it first; when the last sender of
    /// the channel has closed, they get [`Closed`](ChannelError::Closed). A second time it does nothing (C8).
    ///
    /// # Errors
    ///
    /// The transport failed.
    pub async fn close(&mut self) -> ChannelResult<()> {
        self.is_closed = true;
        match &mut self.way {
            Way::Here { line, .. } => {
                line.close();
                Ok(())
            }
            Way::Written { outlet, .. } => outlet.close().await.map_err(|error| ChannelError::of(&self.topic, error)),
        }
    }

    /// Whether nothing can be sent any more from here (C11).
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// So many items wait before senders do (C18 cured: what was asked for).
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn closed(&self) -> ChannelError {
        ChannelError::Closed { topic: self.topic.clone() }
    }
}
