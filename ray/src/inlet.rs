//! Out of a topic: the actor keeps what was taken until it is acknowledged, so whoever is lost loses nothing.

use std::collections::VecDeque;
use std::fmt;
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use procession_transport::{Delivery, Envelope, Inlet, Keeper, Receipt, TransportError, TransportResult};
use tokio::sync::Notify;

use crate::topic::{Opened, Settled, Taken};
use crate::{Work, limits};

pub(crate) struct RayInlet {
    way: Arc<Way>,
}

/// What the inlet, its receipts and its work share.
struct Way {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
// Each is a question of its own.
#[allow(clippy::struct_excessive_bools)]
struct State {
    /// Taken, and not given out: tag, whether it may have come before, body.
    ready: VecDeque<(u64, bool, Bytes)>,
    /// Given out, and neither acknowledged nor given back.
    held: usize,
    /// What the actor is still to be told.
    settled: Settled,
    /// Somebody waits for an item.
    is_wanted: bool,
    /// The actor told the end.
    is_over: bool,
    /// The user was told.
    has_ended: bool,
    /// Items given back are on their way to the actor: what was taken meanwhile would come before them.
    gives_back: bool,
    /// The actor's clock when it had the last of them.
    given_back: u64,
    is_leaving: bool,
    is_left: bool,
    fault: Option<TransportError>,
    waker: Option<Waker>,
}

impl Way {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What is here goes back, as if it had not come.
    fn unread(&mut self) {
        let tags = self.ready.drain(..).map(|(tag, ..)| tag);
        self.settled.unread.extend(tags);
    }

    fn leave(&mut self) {
        self.is_leaving = true;
        self.has_ended = true;
        self.unread();
    }

    /// What the actor is to be told in the next call.
    fn tell(&mut self) -> Settled {
        let settled = take(&mut self.settled);
        self.gives_back = !settled.releases.is_empty() || !settled.unread.is_empty();
        settled
    }

    fn told(&mut self, clock: u64) {
        if take(&mut self.gives_back) {
            self.given_back = clock;
        }
    }

    /// Whether items can be taken: nothing is here, and nothing on its way that would have to come first.
    fn takes(&self) -> bool {
        self.is_wanted && self.ready.is_empty() && !self.is_leaving && !self.is_over
    }

    /// Whether the actor should be told now. Acknowledgements wait while there is more to deal with: the topic cannot
    /// end meanwhile.
    fn tells(&self) -> bool {
        let Settled { acks, releases, unread } = &self.settled;
        let acks_now = self.ready.is_empty() || acks.len() >= limits::BATCH;
        !releases.is_empty() || !unread.is_empty() || (!acks.is_empty() && acks_now)
    }

    fn took(&mut self, (clock, is_over, tags, agains, bodies): Taken) {
        let is_stale = self.gives_back || !self.settled.releases.is_empty() || clock < self.given_back;
        if is_stale || self.is_leaving {
            self.settled.unread.extend(tags);
            return;
        }
        // Nobody may want it any more: then it is not taken again and again.
        self.is_wanted = false;
        self.is_over = is_over;
        self.ready.extend(tags.into_iter().zip(agains).zip(bodies).map(|((tag, again), body)| (tag, again, body)));
        self.wake();
    }
}

impl Keeper for Way {
    fn ack(&self, tag: u64) {
        let mut state = self.state();
        state.held -= 1;
        state.settled.acks.push(tag);
        drop(state);
        self.changed.notify_one();
    }

    fn release(&self, tag: u64) {
        let mut state = self.state();
        state.held -= 1;
        state.settled.releases.push(tag);
        // It comes before them.
        state.unread();
        state.is_over = false;
        drop(state);
        self.changed.notify_one();
    }
}

/// An inlet, and what works for it.
pub(crate) fn inlet(opened: Opened) -> (RayInlet, Work) {
    let way = Arc::new(Way { state: Mutex::default(), changed: Notify::new() });
    let work = work(Arc::clone(&way), opened);
    (RayInlet { way }, Box::pin(work))
}

/// Takes and settles until the inlet and its receipts are gone, or it is cut off.
async fn work(way: Arc<Way>, mut opened: Opened) -> usize {
    let outcome = tokio::select! {
        outcome = carry(&way, &opened) => outcome,
        () = opened.shared.closed() => Err(TransportError::Closed),
    };
    let is_reached = matches!(outcome, Ok(()) | Err(TransportError::Closed));
    if let Err(error) = outcome {
        let settled = {
            let mut state = way.state();
            // What is here would be given back in vain, or comes again to others.
            state.is_left = true;
            if matches!(error, TransportError::Closed) {
                state.ready.clear();
            }
            state.fault = Some(error);
            state.wake();
            state.tell()
        };
        if is_reached {
            let _ = opened.settle(settled, true).await;
        }
    }
    if is_reached {
        // Whether it is heard or not, the lease ends.
        let _ = opened.leave(false).await;
    }
    0
}

/// A call under way.
type Call<'a, T> = Option<Pin<Box<dyn Future<Output = TransportResult<T>> + Send + 'a>>>;

/// What a call gives, when there is one.
async fn given<T>(call: &mut Call<'_, T>) -> TransportResult<T> {
    match call {
        Some(running) => {
            let outcome = running.await;
            *call = None;
            outcome
        }
        None => std::future::pending().await,
    }
}

async fn carry(way: &Way, opened: &Opened) -> TransportResult<()> {
    let mut taking: Call<'_, Taken> = None;
    let mut settling: Call<'_, (u64, bool)> = None;
    let settle = |settled, leaves| -> Call<'_, (u64, bool)> {
        Some(Box::pin(async move { opened.settle(settled, leaves).await.map(|clock| (clock, leaves)) }))
    };
    loop {
        {
            let mut state = way.state();
            // One after the other: a call that takes would not see what the one before gives back.
            if settling.is_none() {
                let leaves = state.is_leaving && !state.is_left;
                if taking.is_none() && state.takes() {
                    let settled = state.tell();
                    taking = Some(Box::pin(opened.take(settled)));
                } else if state.tells() || leaves {
                    settling = settle(state.tell(), leaves);
                } else if state.is_left && state.held == 0 {
                    return Ok(());
                }
            }
        }
        tokio::select! {
            taken = given(&mut taking) => {
                let taken = taken?;
                let mut state = way.state();
                // It told what was to be told, unless another call does that now.
                if settling.is_none() {
                    state.told(taken.0);
                }
                state.took(taken);
            }
            told = given(&mut settling) => {
                let (clock, leaves) = told?;
                let mut state = way.state();
                state.told(clock);
                if leaves {
                    state.is_left = true;
                    state.wake();
                }
            }
            () = way.changed.notified() => {}
            () = tokio::time::sleep(opened.pause()), if taking.is_none() && settling.is_none() => {
                settling = settle(Settled::default(), false);
            }
        }
    }
}

impl Inlet for RayInlet {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        let mut state = self.way.state();
        if state.has_ended {
            return Poll::Ready(Ok(None));
        }
        if let Some((tag, again, body)) = state.ready.pop_front() {
            let envelope = match Envelope::decode(&body) {
                Ok(envelope) => envelope,
                Err(error) => {
                    // It would be the same when it came again.
                    state.settled.acks.push(tag);
                    return Poll::Ready(Err(error));
                }
            };
            state.held += 1;
            let receipt = Receipt::new(Arc::clone(&self.way) as _, tag);
            return Poll::Ready(Ok(Some(Delivery::new(envelope, receipt).with_again(again))));
        }
        if state.is_over {
            state.has_ended = true;
            return Poll::Ready(Ok(None));
        }
        if let Some(fault) = &state.fault {
            return Poll::Ready(Err(fault.clone()));
        }
        state.is_wanted = true;
        state.waker = Some(cx.waker().clone());
        drop(state);
        self.way.changed.notify_one();
        Poll::Pending
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        let mut state = self.way.state();
        match &state.fault {
            None | Some(TransportError::Closed) if state.is_left => return Poll::Ready(Ok(())),
            Some(fault) => return Poll::Ready(Err(fault.clone())),
            None => {}
        }
        state.leave();
        state.waker = Some(cx.waker().clone());
        drop(state);
        self.way.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for RayInlet {
    fn drop(&mut self) {
        self.way.state().leave();
        self.way.changed.notify_one();
    }
}

impl fmt::Debug for RayInlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RayInlet").finish_non_exhaustive()
    }
}
