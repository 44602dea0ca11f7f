//! What one transaction of the writer is to do, and what became of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::inlet::InEnd;
use super::ledger::{Ledger, Parcel, Taken};
use super::outlet::OutEnd;
use super::queue::{Alive, Opened, Wanted};
use super::topics::{Fault, OpenEnd};
use crate::{TransportError, TransportResult};

/// Someone opens an end.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) wanted: Wanted,
    pub(super) alive: Arc<Alive>,
    pub(super) answer: oneshot::Sender<TransportResult<Opened>>,
    pub(super) _place: Option<OwnedSemaphorePermit>,
    /// What came of it, with the capacity.
    pub(super) opened: Option<TransportResult<(OpenEnd, i64)>>,
}

/// Someone posts an envelope.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) address: String,
    pub(super) parcel: Parcel,
    pub(super) answer: oneshot::Sender<TransportResult<()>>,
    pub(super) _place: Option<OwnedSemaphorePermit>,
    pub(super) posted: Option<TransportResult<()>>,
    /// There was no room for it.
    pub(super) was_full: bool,
}

/// An outlet has something to send, or is to go.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) end: Arc<OutEnd>,
    pub(super) parcels: VecDeque<Parcel>,
    pub(super) is_closing: bool,
    pub(super) is_dropped: bool,
    /// So many were written.
    pub(super) put: usize,
    pub(super) is_gone: bool,
}

/// An inlet has given out, or got rid of, something.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) end: Arc<InEnd>,
    pub(super) given: usize,
    pub(super) acked: Vec<u64>,
    pub(super) released: Vec<u64>,
    /// It had left before.
    pub(super) was_gone: bool,
    pub(super) is_leaving: bool,
    /// Nothing that it gave out is its matter any more.
    pub(super) is_settled: bool,
}

/// An inlet wants items.
#[derive(Debug)]
pub(super) struct Hunger {
    pub(super) end: Arc<InEnd>,
    /// It was not looked at yet.
    pub(super) is_fresh: bool,
    pub(super) fed: Option<Fed>,
}

#[derive(Debug)]
pub(super) enum Fed {
    Items(Vec<Taken>),
    /// It does not need any now.
    Nothing,
    End,
}

#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) openings: Vec<Opening>,
    pub(super) posts: VecDeque<Post>,
    pub(super) sendings: Vec<Sending>,
    pub(super) settlings: Vec<Settling>,
    pub(super) hungers: VecDeque<Hunger>,
    /// All is to be closed.
    pub(super) is_last: bool,
    /// What waits now in topics that have changed.
    pub(super) rooms: BTreeMap<i64, i64>,
}

impl Opening {
    fn run(&mut self, ledger: &mut Ledger<'_>, member: i64) -> rusqlite::Result<()> {
        let opened = match &self.wanted {
            Wanted::Outlet(topic) => ledger.open_outlet(member, topic),
            Wanted::Inlet(topic) => ledger.open_inlet(member, topic),
            Wanted::Mailbox(address) => ledger.open_mailbox(member, address),
        };
        self.opened = Some(match opened {
            Ok(end) => Ok((end, ledger.topic(end.topic)?.capacity)),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Engine(error)) => return Err(error),
        });
        Ok(())
    }
}

impl Post {
    pub(super) fn new(
        address: String,
        bytes: Bytes,
        answer: oneshot::Sender<TransportResult<()>>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let parcel = Parcel { sender: Arc::default(), number: 0, bytes };
        Self { address, parcel, answer, _place: place, posted: None, was_full: false }
    }

    fn run(&mut self, ledger: &mut Ledger<'_>, is_last: bool) -> rusqlite::Result<()> {
        // Nobody knows that it was not posted, so it may be left out.
        if self.answer.is_closed() {
            self.posted = Some(Err(TransportError::Closed));
            return Ok(());
        }
        self.posted = match ledger.post(&self.address, &self.parcel) {
            Ok(true) => Some(Ok(())),
            Ok(false) if is_last => Some(Err(TransportError::Closed)),
            Ok(false) => None,
            Err(Fault::Refused(error)) => Some(Err(error)),
            Err(Fault::Engine(error)) => return Err(error),
        };
        Ok(())
    }
}

impl Sending {
    fn run(&mut self, ledger: &mut Ledger<'_>) -> rusqlite::Result<()> {
        self.put = 0;
        for parcel in &self.parcels {
            if !ledger.put(self.end.topic, parcel)? {
                return Ok(());
            }
            self.put += 1;
        }
        self.is_gone = self.is_closing || self.is_dropped;
        if self.is_gone {
            ledger.close_outlet(self.end.id, self.end.topic, self.is_closing)?;
        }
        Ok(())
    }
}

impl Settling {
    fn run(&mut self, ledger: &mut Ledger<'_>) -> rusqlite::Result<()> {
        let of = self.end.of;
        self.is_settled = self.is_leaving && self.end.is_alone;
        if !self.is_settled {
            ledger.settle((of.id, of.line), self.given, &mut self.acked, &self.released)?;
        }
        if self.is_leaving {
            let state = self.end.lock();
            let unused = state.ready.iter().map(|taken| (taken.tag, taken.again));
            self.is_settled = !ledger.close_inlet(of, unused)?;
        } else if self.was_gone && ledger.held(of.id)? == 0 {
            ledger.end_inlet(of)?;
            self.is_settled = true;
        }
        Ok(())
    }
}

impl Hunger {
    fn run(&mut self, ledger: &mut Ledger<'_>, is_changed: bool) -> rusqlite::Result<()> {
        let of = self.end.of;
        if !(self.is_fresh || is_changed || ledger.is_touched(of.line)) {
            return Ok(());
        }
        let (there, is_waiting, is_gone) = {
            let state = self.end.lock();
            (state.ready.len(), state.is_waiting, state.is_gone || state.is_closing || state.dropped.is_some())
        };
        // Others would wait for what this one does not come to.
        let is_only = self.end.batch > 1 && (self.end.is_alone || ledger.receivers(of.topic)? == 1);
        let most = if is_only { self.end.batch.saturating_sub(there) } else { usize::from(is_waiting && there == 0) };
        if most == 0 || is_gone {
            self.fed = Some(Fed::Nothing);
            return Ok(());
        }
        let taken = ledger.claim(of.id, of.line, most)?;
        if !taken.is_empty() {
            self.fed = Some(Fed::Items(taken));
        } else if is_waiting && there == 0 && ledger.is_end(of.id, of.line)? {
            ledger.set_over(of.topic, true, true)?;
            self.fed = Some(Fed::End);
        }
        Ok(())
    }
}

impl Turn {
    pub(super) fn is_empty(&self) -> bool {
        self.openings.is_empty() && self.posts.is_empty() && self.sendings.is_empty() && !self.is_last
    }

    /// The topics of new ends.
    pub(super) fn opened_topics(&self) -> impl Iterator<Item = i64> {
        self.openings.iter().filter_map(|opening| Some(opening.opened.as_ref()?.as_ref().ok()?.0.topic))
    }

    /// Does all of it; `is_changed`: also others have written since the last time.
    pub(super) fn run(&mut self, ledger: &mut Ledger<'_>, member: i64, is_changed: bool) -> rusqlite::Result<()> {
        for hunger in &mut self.hungers {
            hunger.fed = None;
        }
        for settling in &mut self.settlings {
            settling.run(ledger)?;
        }
        for opening in &mut self.openings {
            opening.run(ledger, member)?;
        }
        for post in &mut self.posts {
            post.run(ledger, self.is_last)?;
        }
        for sending in &mut self.sendings {
            sending.run(ledger)?;
        }
        if !self.is_last {
            for hunger in &mut self.hungers {
                hunger.run(ledger, is_changed)?;
            }
        }
        Ok(())
    }
}
