//! Into a topic: what is sent gathers here, and goes to the actor in one call after the other, so that its order is
//! kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use procession_transport::{Envelope, Outlet, Topic, TransportError, TransportResult};
use tokio::sync::Notify;

use crate::topic::{Opened, Settled};
use crate::{Work, limits};

pub(crate) struct RayOutlet {
    way: Arc<Way>,
}

/// What the outlet and its work share.
struct Way {
    state: Mutex<State>,
    changed: Notify,
    /// So many envelopes may be on their way.
    window: usize,
}

#[derive(Default)]
struct State {
    /// Not sent yet.
    queue: VecDeque<Bytes>,
    /// Bytes of what is on its way.
    bytes: usize,
    /// In the call that is under way.
    sending: usize,
    is_closing: bool,
    is_closed: bool,
    is_dropped: bool,
    fault: Option<TransportError>,
    waker: Option<Waker>,
}

impl Way {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waits(&mut self, cx: &Context<'_>) {
        self.waker = Some(cx.waker().clone());
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_its_way(&self) -> usize {
        self.queue.len() + self.sending
    }

    /// So much as goes in one call.
    fn batch(&mut self) -> Vec<Bytes> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.queue.front() {
            bytes += next.len();
            if batch.len() == limits::BATCH || (bytes > limits::BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            batch.extend(self.queue.pop_front());
        }
        self.sending = batch.len();
        batch
    }

    fn fail(&mut self, error: TransportError) {
        self.fault.get_or_insert(error);
        self.wake();
    }
}

/// What the work does next.
enum Next {
    Send(Vec<Bytes>),
    Leave { closes: bool },
    Wait,
}

/// An outlet, and what works for it.
pub(crate) fn outlet(opened: Opened, topic: &Topic) -> (RayOutlet, Work) {
    let window = limits::WINDOW.min(topic.capacity());
    let way = Arc::new(Way { state: Mutex::default(), changed: Notify::new(), window });
    let work = work(Arc::clone(&way), opened);
    (RayOutlet { way }, Box::pin(work))
}

/// Sends until it is closed, dropped or cut off; gives how many envelopes it could not send.
async fn work(way: Arc<Way>, mut opened: Opened) -> usize {
    let shared = Arc::clone(&opened.shared);
    let outcome = loop {
        let next = {
            let mut state = way.state();
            match state.batch() {
                batch if !batch.is_empty() => Next::Send(batch),
                _ if state.is_closing || state.is_dropped => Next::Leave { closes: state.is_closing },
                _ => Next::Wait,
            }
        };
        let outcome = match next {
            Next::Leave { closes } => break opened.leave(closes).await,
            next => tokio::select! {
                outcome = carry(&way, &opened, next) => outcome,
                () = shared.closed() => Err(TransportError::Closed),
            },
        };
        if let Err(error) = outcome {
            if matches!(error, TransportError::Closed) {
                // Whether it is heard or not, nothing can be done about it.
                let _ = opened.leave(false).await;
            }
            break Err(error);
        }
    };
    let mut state = way.state();
    let unsent = state.on_its_way();
    match outcome {
        Ok(()) => state.is_closed = true,
        Err(error) => state.fail(error),
    }
    state.wake();
    unsent
}

/// Sends, or waits for what is to be sent, with signs of life.
async fn carry(way: &Way, opened: &Opened, next: Next) -> TransportResult<()> {
    if let Next::Send(batch) = next {
        return send(way, opened, batch).await;
    }
    match tokio::time::timeout(opened.pause(), way.changed.notified()).await {
        Ok(()) => Ok(()),
        Err(_) => opened.settle(Settled::default(), false).await.map(drop),
    }
}

/// Sends a batch, in as many calls as the room asks for.
async fn send(way: &Way, opened: &Opened, mut batch: Vec<Bytes>) -> TransportResult<()> {
    while !batch.is_empty() {
        let sent = opened.put(batch.clone()).await?.min(batch.len());
        let bytes: usize = batch.drain(..sent).map(|item| item.len()).sum();
        let mut state = way.state();
        state.sending -= sent;
        state.bytes -= bytes;
        state.wake();
    }
    Ok(())
}

impl Outlet for RayOutlet {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let mut state = self.way.state();
        if let Some(fault) = &state.fault {
            return Poll::Ready(Err(fault.clone()));
        }
        if state.is_closing {
            return Poll::Ready(Err(TransportError::Closed));
        }
        if state.on_its_way() < self.way.window && state.bytes < limits::WINDOW_BYTES {
            return Poll::Ready(Ok(()));
        }
        state.waits(cx);
        Poll::Pending
    }

    fn start_send(&mut self, envelope: Envelope) -> TransportResult<()> {
        let mut state = self.way.state();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        if state.is_closing {
            return Err(TransportError::Closed);
        }
        let item = envelope.encode()?;
        state.bytes += item.len();
        state.queue.push_back(item);
        drop(state);
        self.way.changed.notify_one();
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let mut state = self.way.state();
        if state.on_its_way() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(fault) = &state.fault {
            return Poll::Ready(Err(fault.clone()));
        }
        state.waits(cx);
        Poll::Pending
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let mut state = self.way.state();
        let is_closed_with_all = matches!(state.fault, Some(TransportError::Closed)) && state.on_its_way() == 0;
        if state.is_closed || is_closed_with_all {
            return Poll::Ready(Ok(()));
        }
        if let Some(fault) = &state.fault {
            return Poll::Ready(Err(fault.clone()));
        }
        state.is_closing = true;
        state.waits(cx);
        drop(state);
        self.way.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for RayOutlet {
    fn drop(&mut self) {
        self.way.state().is_dropped = true;
        self.way.changed.notify_one();
    }
}

impl fmt::Debug for RayOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RayOutlet").finish_non_exhaustive()
    }
}
