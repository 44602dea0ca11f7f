//! The two ends of a channel of plugboard.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::coop;
use zmq::Message;

use super::{CLOSE, Plain, PlugboardError, from_plain, pickle, to_plain};
use crate::zeromq::plug::{Plug, failed, last_endpoint};
use crate::{TransportError, limits};

/// How long a rendezvous may take to answer a sender; a receiver waits for as long as there is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a close waits for what is still to be sent.
const LINGER: Duration = Duration::from_secs(5);

fn high_water(maxsize: usize) -> i32 {
    // 0 would be without a bound.
    i32::try_from(maxsize).unwrap_or(i32::MAX).max(1)
}

/// Asks at a rendezvous.
async fn ask(context: &zmq::Context, address: &str, request: &[u8]) -> Result<Message, TransportError> {
    let mut plug = request_plug(context, address)?;
    // A socket that has just connected takes one request.
    plug.try_send_all(&[request])?;
    let frames = poll_fn(|cx| plug.poll_frames(cx)).await?;
    let none = || TransportError::Malformed { reason: "the rendezvous answers nothing".to_owned() };
    frames.into_iter().next().ok_or_else(none)
}

fn request_plug(context: &zmq::Context, address: &str) -> Result<Plug, TransportError> {
    let socket = context.socket(zmq::REQ).map_err(failed("making a socket"))?;
    let set = || {
        socket.set_linger(0)?;
        socket.set_maxmsgsize(limits::ZMQ_REQUEST_BYTES)?;
        socket.connect(address)
    };
    set().map_err(failed("connecting to a rendezvous"))?;
    Plug::new(socket)
}

/// Sends items into a pipeline of plugboard.
pub struct PlugboardSender<T> {
    /// Until it is closed.
    open: Option<(Plug, zmq::Context)>,
    address: String,
    items: PhantomData<fn(T)>,
}

impl<T> fmt::Debug for PlugboardSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlugboardSender").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<T: Serialize> PlugboardSender<T> {
    /// The one sender of a rendezvous, whose address for senders this is; `maxsize` is its high-water mark, plugboard's
    /// default being 2000.
    ///
    /// # Errors
    ///
    /// [`Refused`](PlugboardError::Refused) where there is a sender already; the rendezvous is not reached.
    pub async fn connect(rendezvous: &str, maxsize: usize) -> Result<Self, PlugboardError> {
        let context = zmq::Context::new();
        let (plug, address) = bound(&context, maxsize)?;
        let request = serde_json::json!({ "sender_address": address }).to_string();
        let answered = tokio::time::timeout(PATIENCE, ask(&context, rendezvous, request.as_bytes())).await;
        let answer = answered.map_err(|elapsed| TransportError::failed("reaching a rendezvous", elapsed))??;
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        if answer.get("success") != Some(&serde_json::Value::Bool(true)) {
            return Err(PlugboardError::Refused);
        }
        Ok(Self { open: Some((plug, context)), address, items: PhantomData })
    }

    /// Sends an item, once a receiver is there and has room. When it is cancelled, it was not sent.
    ///
    /// # Errors
    ///
    /// The item is not plain data, or is the text that closes a channel; the channel is closed.
    pub async fn send(&mut self, item: &T) -> Result<(), PlugboardError> {
        let plain = to_plain(item)?;
        if matches!(&plain, Plain::Text(text) if text == CLOSE) {
            return Err(PlugboardError::Sentinel);
        }
        let pickle = pickle::write(&plain)?;
        self.send_frame(pickle).await
    }

    async fn send_frame(&mut self, pickle: Vec<u8>) -> Result<(), PlugboardError> {
        let Some((plug, _)) = &mut self.open else { return Err(PlugboardError::Closed) };
        let plug: &mut Plug = plug;
        let mut pickle = Some(pickle);
        poll_fn(|cx| poll_send(plug, &mut pickle, cx)).await
    }

    /// Ends the channel, and waits until all that was sent has left, for some seconds at most. A second time it does
    /// nothing. Dropped
    /// without it, a sender ends nothing, and what it has sent arrives for as long as its OS process is there.
    ///
    /// # Errors
    ///
    /// Not all was sent in time.
    pub async fn close(&mut self) -> Result<(), PlugboardError> {
        if self.open.is_none() {
            return Ok(());
        }
        let closing = async {
            self.send_frame(pickle::write(&Plain::Text(CLOSE.to_owned()))?).await?;
            let open = self.open.take();
            let (sent, all_sent) = oneshot::channel();
            std::thread::spawn(move || {
                drop(open);
                let _ = sent.send(());
            });
            let _ = all_sent.await;
            Ok(())
        };
        match tokio::time::timeout(LINGER, closing).await {
            Ok(closed) => closed,
            Err(elapsed) => Err(TransportError::failed("sending what still waited", elapsed).into()),
        }
    }
}

impl<T> Drop for PlugboardSender<T> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            // Waits until all is sent, which no task may.
            std::thread::spawn(move || drop(open));
        }
    }
}

fn bound(context: &zmq::Context, maxsize: usize) -> Result<(Plug, String), TransportError> {
    let socket = context.socket(zmq::PUSH).map_err(failed("making a socket"))?;
    let set = || {
        socket.set_sndhwm(high_water(maxsize))?;
        socket.bind("tcp://127.0.0.1:*")
    };
    set().map_err(failed("binding a sender"))?;
    let address = last_endpoint(&socket)?;
    Ok((Plug::new(socket)?, address))
}

fn poll_send(plug: &mut Plug, pickle: &mut Option<Vec<u8>>, cx: &mut Context<'_>) -> Poll<Result<(), PlugboardError>> {
    let budget = ready!(coop::poll_proceed(cx));
    // The topic of a pipeline is empty (C38).
    while !plug.try_first(b"")? {
        ready!(plug.poll_change(cx))?;
    }
    budget.made_progress();
    Poll::Ready(Ok(plug.last(Message::from(pickle.take().unwrap_or_default()))?))
}

/// Receives items from a pipeline of plugboard.
pub struct PlugboardReceiver<T> {
    /// Until it is closed.
    plug: Option<Plug>,
    items: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for PlugboardReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlugboardReceiver").field("is_closed", &self.plug.is_none()).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> PlugboardReceiver<T> {
    /// A receiver of a rendezvous, whose address for receivers this is. Waits until there is a sender.
    ///
    /// # Errors
    ///
    /// The address is none.
    pub async fn connect(rendezvous: &str, maxsize: usize) -> Result<Self, PlugboardError> {
        let context = zmq::Context::new();
        let sender = ask(&context, rendezvous, b"").await?;
        let sender = std::str::from_utf8(&sender)
            .map_err(|_| TransportError::Malformed { reason: "the sender's address is not UTF-8".to_owned() })?;
        Ok(Self { plug: Some(connected(&context, sender, maxsize)?), items: PhantomData })
    }

    /// The next item. Cancelled, it has received nothing.
    ///
    /// # Errors
    ///
    /// [`Closed`](PlugboardError::Closed) after the sender's close, and ever after (C10); what is no plain data of the
    /// type is told, and the
    /// next call gives the next item.
    pub async fn recv(&mut self) -> Result<T, PlugboardError> {
        let Some(plug) = &mut self.plug else { return Err(PlugboardError::Closed) };
        let frames = poll_fn(|cx| {
            let budget = ready!(coop::poll_proceed(cx));
            let frames = ready!(plug.poll_frames(cx));
            budget.made_progress();
            Poll::Ready(frames)
        })
        .await?;
        let [_, pickle] = frames.as_slice() else { return Err(PlugboardError::Frames { frames: frames.len() }) };
        let plain = pickle::read(pickle)?;
        if matches!(&plain, Plain::Text(text) if text == CLOSE) {
            self.plug = None;
            return Err(PlugboardError::Closed);
        }
        Ok(from_plain(plain)?)
    }

    /// Whether the end has come.
    pub fn is_closed(&self) -> bool {
        self.plug.is_none()
    }
}

fn connected(context: &zmq::Context, sender: &str, maxsize: usize) -> Result<Plug, TransportError> {
    let socket = context.socket(zmq::PULL).map_err(failed("making a socket"))?;
    let set = || {
        socket.set_rcvhwm(high_water(maxsize))?;
        socket.set_maxmsgsize(i64::try_from(limits::PICKLE_BYTES).unwrap_or(i64::MAX))?;
        socket.connect(sender)
    };
    set().map_err(failed("connecting to a sender"))?;
    Plug::new(socket)
}
