//! What receives items.

use std::any::type_name;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::task::{Context, Poll, ready};

use super::{Carried, ChannelError, ChannelResult, Seen};
use crate::local::Use;
use crate::local::line::{Entry, Held, LineReceiver};
use crate::{Content, Delivery, Envelope, Inlet, Receipt, Topic};

/// Receives the items of a channel.
#[derive(Debug)]
pub struct Receiver<T> {
    way: Way<T>,
    topic: String,
    capacity: usize,
    is_closed: bool,
}

enum Way<T> {
    /// As they are.
    // The line is left before the topic is given up.
    Here { line: LineReceiver<T>, _used: Use },
    /// Written.
    Written { inlet: Box<dyn Inlet>, seen: Seen, last: Option<Receipt> },
}

impl<T> fmt::Debug for Way<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here { line, .. } => line.fmt(f),
            Self::Written { inlet, .. } => inlet.fmt(f),
        }
    }
}

/// An item that was received, until it is [acknowledged](Item::ack). Dropped before, it comes again, here or at another receiver.
#[must_use = "an item that is dropped comes again; `ack` keeps it from that"]
pub struct Item<T> {
    // Taken only by what consumes it.
    value: Option<T>,
    account: Account<T>,
    again: bool,
}

enum Account<T> {
    Here { number: u64, held: Option<Held<T>> },
    Written { receipt: Option<Receipt> },
}

impl<T> Item<T> {
    /// It was dealt with, and does not come again.
    pub fn ack(mut self) -> T {
        match &mut self.account {
            Account::Here { held, .. } => {
                if let Some(held) = held.take() {
                    held.ack();
                }
            }
            Account::Written { receipt } => {
                if let Some(receipt) = receipt.take() {
                    receipt.ack();
                }
            }
        }
        self.taken()
    }

    fn taken(&mut self) -> T {
        self.value.take().expect("taken only by what consumes it")
    }

    /// Whether it may have been received before.
    pub fn is_again(&self) -> bool {
        self.again
    }
}

impl<T> Deref for Item<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("taken only by what consumes it")
    }
}

impl<T: fmt::Debug> fmt::Debug for Item<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("value", &self.value).field("again", &self.again).finish_non_exhaustive()
    }
}

impl<T> Drop for Item<T> {
    fn drop(&mut self) {
        if let (Some(value), Account::Here { number, held }) = (self.value.take(), &mut self.account)
            && let Some(held) = held.take()
        {
            held.release(Entry { number: *number, again: true, value });
        }
    }
}

impl<T: Carried> Receiver<T> {
    pub(super) fn here(line: LineReceiver<T>, used: Use, topic: &Topic) -> Self {
        Self::new(Way::Here { line, _used: used }, topic)
    }

    pub(super) fn written(inlet: Box<dyn Inlet>, topic: &Topic) -> Self {
        Self::new(Way::Written { inlet, seen: Seen::default(), last: None }, topic)
    }

    fn new(way: Way<T>, topic: &Topic) -> Self {
        Self { way, topic: topic.name().to_owned(), capacity: topic.capacity(), is_closed: false }
    }

    /// The next item. It counts as dealt with when the next one is asked for, or the receiver is [closed](Self::close); over a transport
    /// that acknowledges, what was not dealt with comes again when this receiver is lost. Cancelled, it has received nothing.
    ///
    /// # Errors
    ///
    /// [`Closed`](ChannelError::Closed) when all senders have closed and all was received, and ever after (C10);
    /// [`Malformed`](ChannelError::Malformed) where what came is no `T`: it is taken out, and the next call gives the next one.
    pub async fn recv(&mut self) -> ChannelResult<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), to be polled.
    ///
    /// # Errors
    ///
    /// As of [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<ChannelResult<T>> {
        if let Way::Here { line, .. } = &mut self.way {
            let taken = ready!(line.poll_take(cx));
            return Poll::Ready(match taken {
                Ok(Some(entry)) => Ok(entry.value),
                Ok(None) | Err(_) => Err(self.end()),
            });
        }
        if let Way::Written { last, .. } = &mut self.way
            && let Some(last) = last.take()
        {
            last.ack();
        }
        let mut item = ready!(self.poll_item(cx))?;
        if let (Way::Written { last, .. }, Account::Written { receipt }) = (&mut self.way, &mut item.account) {
            *last = receipt.take();
        }
        Poll::Ready(Ok(item.ack()))
    }

    /// The next item, which comes again unless it is acknowledged: to receive several before any is dealt with, or to deal with them
    /// in another order.
    ///
    /// # Errors
    ///
    /// As of [`recv`](Self::recv).
    pub async fn recv_item(&mut self) -> ChannelResult<Item<T>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<ChannelResult<Item<T>>> {
        match &mut self.way {
            Way::Here { line, .. } => Poll::Ready(match ready!(line.poll_hold(cx)) {
                Ok(Some((Entry { number, again, value }, held))) => {
                    Ok(Item { value: Some(value), account: Account::Here { number, held: Some(held) }, again })
                }
                Ok(None) | Err(_) => Err(self.end()),
            }),
            Way::Written { inlet, seen, .. } => loop {
                let delivery = match ready!(inlet.poll_recv(cx)) {
                    Ok(Some(delivery)) => delivery,
                    Ok(None) => return Poll::Ready(Err(self.end())),
                    Err(error) => return Poll::Ready(Err(ChannelError::of(&self.topic, error))),
                };
                let Delivery { envelope, again, receipt } = delivery;
                if seen.is_new(&envelope, again) {
                    return Poll::Ready(read(envelope, again, receipt, &self.topic));
                }
                receipt.ack();
            },
        }
    }

    fn end(&mut self) -> ChannelError {
        self.is_closed = true;
        ChannelError::Closed { topic: self.topic.clone() }
    }

    /// What was received last is dealt with; waits until the transport knows, and leaves. What waits stays for others.
    ///
    /// # Errors
    ///
    /// The transport failed: what was dealt with may come again.
    pub async fn close(&mut self) -> ChannelResult<()> {
        self.is_closed = true;
        match &mut self.way {
            Way::Here { line, .. } => {
                line.leave();
                Ok(())
            }
            Way::Written { inlet, last, .. } => {
                if let Some(last) = last.take() {
                    last.ack();
                }
                inlet.close().await.map_err(|error| ChannelError::of(&self.topic, error))
            }
        }
    }

    /// Whether it has told the end, or was closed.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// So many items wait before senders do.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Its topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

/// What cannot be read is acknowledged: it would be the same another time.
fn read<T: Carried>(envelope: Envelope, again: bool, receipt: Receipt, topic: &str) -> ChannelResult<Item<T>> {
    let read = match envelope.content {
        Content::Json => serde_json::from_slice(&envelope.body).map_err(|error| error.to_string()),
        other => Err(format!("it is written as {other:?}, not as JSON")),
    };
    match read {
        Ok(value) => Ok(Item { value: Some(value), account: Account::Written { receipt: Some(receipt) }, again }),
        Err(reason) => {
            receipt.ack();
            let topic = topic.to_owned();
            Err(ChannelError::Malformed { topic, item: type_name::<T>(), reason, body: envelope.body })
        }
    }
}
