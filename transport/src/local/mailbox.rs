//! Mailboxes: each has one owner, and anyone posts.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use super::ends::LocalInlet;
use super::line::{Line, LineReceiver, Stopped, end_id};
use crate::{Delivery, Envelope, Inlet, TransportError, TransportResult, limits};

type Known = Mutex<HashMap<String, Arc<Line<Envelope>>>>;

/// The mailboxes of a transport.
#[derive(Default)]
pub(super) struct Boxes(Arc<Known>);

fn lock(known: &Known) -> MutexGuard<'_, HashMap<String, Arc<Line<Envelope>>>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Boxes {
    /// Makes the mailbox of an address that nobody has.
    pub(super) fn own(&self, address: &str) -> TransportResult<Mailbox> {
        let mut known = lock(&self.0);
        if known.contains_key(address) {
            return Err(TransportError::Taken { address: address.to_owned() });
        }
        let line = Arc::new(Line::new(limits::MAILBOX));
        known.insert(address.to_owned(), Arc::clone(&line));
        let receiver = LineReceiver::new(line).map_err(|_| TransportError::Closed)?;
        Ok(Mailbox {
            inlet: LocalInlet::new(receiver, true, None),
            known: Arc::downgrade(&self.0),
            address: address.to_owned(),
        })
    }

    pub(super) async fn post(&self, address: &str, envelope: Envelope) -> TransportResult<()> {
        let nobody = || TransportError::NoSuchAddress { address: address.to_owned() };
        let line = lock(&self.0).get(address).cloned().ok_or_else(nobody)?;
        let (id, mut envelope) = (end_id(), Some(envelope));
        match poll_fn(|cx| line.poll_send(id, &mut envelope, cx)).await {
            Ok(()) => Ok(()),
            Err(Stopped::Shut | Stopped::Over) => Err(nobody()),
        }
    }

    pub(super) fn shut(&self) {
        lock(&self.0).drain().for_each(|(_, line)| line.shut());
    }
}

/// What its owner has of it.
#[derive(Debug)]
pub(super) struct Mailbox {
    inlet: LocalInlet,
    known: Weak<Known>,
    address: String,
}

impl Mailbox {
    /// Nobody reaches it any more.
    fn give_up(&self) {
        let line = self.inlet.line();
        if let Some(known) = self.known.upgrade() {
            let mut known = lock(&known);
            if known.get(&self.address).is_some_and(|other| Arc::ptr_eq(other, line)) {
                known.remove(&self.address);
            }
        }
    }
}

impl Inlet for Mailbox {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        self.inlet.poll_recv(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.give_up();
        self.inlet.poll_close(cx)
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.give_up();
    }
}
