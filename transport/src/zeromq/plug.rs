//! A socket of ZeroMQ that tasks can wait for.

use std::os::fd::RawFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zmq::{DONTWAIT, Message, SNDMORE};

use crate::{TransportError, TransportResult, limits};

/// A socket and what tells that something about it has changed.
///
/// Its descriptor tells changes, not states: whoever waits tries first, asks for the state, and only then waits.
pub(crate) struct Plug {
    // Taken out of the reactor before the socket closes it.
    fd: AsyncFd<RawFd>,
    socket: zmq::Socket,
}

/// That ZeroMQ failed.
pub(crate) fn failed(action: &'static str) -> impl Fn(zmq::Error) -> TransportError {
    move |error| match error {
        zmq::Error::ETERM | zmq::Error::ENOTSOCK => TransportError::Closed,
        error => TransportError::failed(action, error),
    }
}

/// Where a socket is bound.
pub(crate) fn last_endpoint(socket: &zmq::Socket) -> TransportResult<String> {
    let endpoint = socket.get_last_endpoint().map_err(failed("asking where a socket is bound"))?;
    endpoint.map_err(|bytes| TransportError::Malformed { reason: format!("an endpoint of {} bytes", bytes.len()) })
}

impl Plug {
    pub(crate) fn new(socket: zmq::Socket) -> TransportResult<Self> {
        let fd = socket.get_fd().map_err(failed("asking a socket for its descriptor"))?;
        // What it is replaced by is unsafe: the descriptor has to stay open for as long as it is waited for. It does,
        // as the socket
        // is dropped after it, and only this file has both.
        #[expect(deprecated)]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE);
        let fd = fd.map_err(|error| TransportError::failed("waiting for a socket", error))?;
        Ok(Self { fd, socket })
    }

    pub(crate) fn socket(&self) -> &zmq::Socket {
        &self.socket
    }

    /// Waits until something has changed since this was asked last.
    pub(crate) fn poll_change(&self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let guard = ready!(self.fd.poll_read_ready(cx));
        guard.map_err(|error| TransportError::failed("waiting for a socket", error))?.clear_ready();
        Poll::Ready(Ok(()))
    }

    /// Sends a first frame, after which another follows; whether there was room.
    pub(crate) fn try_first(&self, frame: &[u8]) -> TransportResult<bool> {
        loop {
            match self.socket.send(frame, DONTWAIT | SNDMORE) {
                Ok(()) => return Ok(true),
                Err(zmq::Error::EINTR) => {}
                Err(zmq::Error::EAGAIN) => {
                    // Sending looks only now and then at what its peer has told; asking for the state always does.
                    let events = self.socket.get_events().map_err(failed("asking a socket for room"))?;
                    if !events.contains(zmq::POLLOUT) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(failed("sending")(error)),
            }
        }
    }

    /// Sends the last frame, for which there is always room.
    pub(crate) fn last(&self, frame: Message) -> TransportResult<()> {
        self.socket.send(frame, DONTWAIT).map_err(failed("sending"))
    }

    /// The next frame into `frame`; whether there was one.
    pub(crate) fn try_recv(&self, frame: &mut Message) -> TransportResult<bool> {
        loop {
            match self.socket.recv(frame, DONTWAIT) {
                Ok(()) => return Ok(true),
                Err(zmq::Error::EINTR) => {}
                Err(zmq::Error::EAGAIN) => return Ok(false),
                Err(error) => return Err(failed("receiving")(error)),
            }
        }
    }

    /// The next message, of which no more frames are kept than anyone here understands.
    pub(crate) fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Vec<Message>>> {
        loop {
            let mut frames = Vec::new();
            let mut frame = Message::new();
            while self.try_recv(&mut frame)? {
                let is_last = !frame.get_more();
                if frames.len() <= limits::ZMQ_FRAMES {
                    frames.push(std::mem::replace(&mut frame, Message::new()));
                }
                if is_last {
                    return Poll::Ready(Ok(frames));
                }
            }
            ready!(self.poll_change(cx))?;
        }
    }

    /// Sends all frames; whether there was room for them.
    pub(crate) fn try_send_all(&self, frames: &[&[u8]]) -> TransportResult<bool> {
        let Some((last, firsts)) = frames.split_last() else { return Ok(true) };
        for frame in firsts {
            if !self.try_first(frame)? {
                return Ok(false);
            }
        }
        self.last(Message::from(*last)).map(|()| true)
    }
}
