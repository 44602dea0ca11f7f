//! Several channels as one.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::{Carried, ChannelError, ChannelResult, Receiver};

/// Receives from several channels, each in its order, and ends when all of them have (C15).
#[derive(Debug)]
pub struct Merged<T> {
    receivers: Vec<Receiver<T>>,
    /// The one that is asked first, so that a busy one does not hide others.
    first: usize,
}

impl<T: Carried> Merged<T> {
    /// All of them.
    pub fn new(receivers: impl IntoIterator<Item = Receiver<T>>) -> Self {
        Self { receivers: receivers.into_iter().collect(), first: 0 }
    }

    /// The next item of any of them; see [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// [`Closed`](ChannelError::Closed) when all have ended; as of [`Receiver::recv`] otherwise.
    pub async fn recv(&mut self) -> ChannelResult<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), to be polled.
    ///
    /// # Errors
    ///
    /// As of [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<ChannelResult<T>> {
        let count = self.receivers.len();
        let mut open = 0;
        for offset in 0..count {
            let index = (self.first + offset) % count;
            let end = &mut self.receivers[index];
            if end.is_closed() {
                continue;
            }
            open += 1;
            match end.poll_recv(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(ChannelError::Closed { .. })) => open -= 1,
                Poll::Ready(outcome) => {
                    self.first = (index + 1) % count;
                    return Poll::Ready(outcome);
                }
            }
        }
        if open > 0 {
            return Poll::Pending;
        }
        let topics: Vec<&str> = self.receivers.iter().map(Receiver::topic).collect();
        Poll::Ready(Err(ChannelError::Closed { topic: topics.join("`, `") }))
    }

    /// Closes all of them.
    ///
    /// # Errors
    ///
    /// As of [`Receiver::close`]; all are closed all the same, and the first error is told.
    pub async fn close(&mut self) -> ChannelResult<()> {
        let mut outcome = Ok(());
        for receiver in &mut self.receivers {
            outcome = outcome.and(receiver.close().await);
        }
        outcome
    }
}
