//! Into a topic.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::core::Core;
use super::wire::{Answer, Ask};
use super::{MARK, Shared};
use crate::{Content, Envelope, Kind, Outlet, TransportError, TransportResult};

pub(super) struct ZmqOutlet {
    core: Core,
    id: u64,
    shared: Arc<Shared>,
    is_closed: bool,
    closing: Option<JoinHandle<TransportResult<()>>>,
}

impl ZmqOutlet {
    pub(super) fn new(core: Core, id: u64, shared: Arc<Shared>) -> Self {
        Self { core, id, shared, is_closed: false, closing: None }
    }

    /// Whether it can send.
    pub(super) fn check(&self) -> TransportResult<()> {
        self.core.check()
    }

    fn finish(&mut self, ends: bool) -> Option<JoinHandle<TransportResult<()>>> {
        let (core, id, shared) = (self.core.clone(), self.id, Arc::clone(&self.shared));
        (!std::mem::replace(&mut self.is_closed, true))
            .then(|| self.shared.runtime.spawn(async move { finish(shared, core, id, ends).await }))
    }
}

impl fmt::Debug for ZmqOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZmqOutlet").field("id", &self.id).field("core", &self.core).finish_non_exhaustive()
    }
}

/// What says that nothing more comes from an outlet; none of its users can send it.
fn mark(id: u64) -> TransportResult<Vec<u8>> {
    let end = Envelope {
        subject: MARK.into(),
        correlation: id,
        ..Envelope::new(Kind::End, "".into(), Content::Bytes, Bytes::new())
    };
    end.encode().map(|bytes| bytes.to_vec())
}

/// Tells the host, and then each inlet after all that was sent to it.
async fn finish(shared: Arc<Shared>, core: Core, id: u64, ends: bool) -> TransportResult<()> {
    let finished = shared.ask(Ask::Finish { outlet: id, ends, holds: core.holds() }).await;
    let waits = match finished {
        Ok((Answer::Finished { waits, .. }, _)) => core.end(id, waits, mark(id)?).map(|()| waits),
        Ok(_) => Err(super::unexpected()),
        Err(error) => Err(error),
    };
    match waits {
        Ok(true) => {
            // Nobody is there: it is kept for whoever comes next, until the transport is closed.
            let runtime = shared.runtime.clone();
            runtime.spawn(async move {
                let _ = core.drain(id).await;
                shared.known.lock().by_id.remove(&id);
            });
            Ok(())
        }
        Ok(false) => {
            let drained = core.drain(id).await;
            shared.known.lock().by_id.remove(&id);
            drained
        }
        Err(error) => {
            shared.known.lock().by_id.remove(&id);
            Err(error)
        }
    }
}

impl Outlet for ZmqOutlet {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        if self.is_closed {
            return Poll::Ready(Err(TransportError::Closed));
        }
        self.core.poll_ready(cx)
    }

    fn start_send(&mut self, envelope: Envelope) -> TransportResult<()> {
        if self.is_closed {
            return Err(TransportError::Closed);
        }
        self.core.send(&envelope)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<TransportResult<()>> {
        // What was taken goes on its way by itself.
        Poll::Ready(self.core.check())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        if let Some(closing) = self.finish(true) {
            self.closing = Some(closing);
        }
        let Some(closing) = &mut self.closing else { return Poll::Ready(Ok(())) };
        let closed = ready!(Pin::new(closing).poll(cx));
        self.closing = None;
        Poll::Ready(closed.unwrap_or(Err(TransportError::Closed)))
    }
}

impl Drop for ZmqOutlet {
    fn drop(&mut self) {
        // What it has taken arrives all the same.
        drop(self.finish(false));
    }
}
