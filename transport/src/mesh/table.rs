//! The peers a runtime knows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Uid;
use super::methods::nearest;
use super::protocol::Who;
use super::{MeshError, MeshResult};
use crate::limits;

/// A peer from when it came until it is lost; when it comes back, it is another one.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) who: Who,
    is_live: AtomicBool,
    is_shaken: AtomicBool,
    /// Whether someone finds out at the moment if it is there.
    pub(super) is_suspect: AtomicBool,
    /// When it was heard last, in microseconds since `since`.
    heard: AtomicU64,
    since: Instant,
    /// Whether someone waits for a beat, and is to be told.
    is_awaited: AtomicBool,
    beat: Notify,
}

impl Known {
    pub(super) fn new(who: Who, is_shaken: bool) -> Self {
        Self {
            who,
            is_live: AtomicBool::new(true),
            is_shaken: AtomicBool::new(is_shaken),
            is_suspect: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            since: Instant::now(),
            is_awaited: AtomicBool::new(false),
            beat: Notify::new(),
        }
    }

    /// Any message is a beat (M20).
    pub(super) fn beats(&self) {
        let heard = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.heard.store(heard, Ordering::Relaxed);
        if self.is_awaited.swap(false, Ordering::SeqCst) {
            self.beat.notify_one();
        }
    }

    /// Waits for a beat, up to a time; whether it came.
    pub(super) async fn beat_by(&self, until: Instant) -> bool {
        timeout_at(until, self.beat.notified()).await.is_ok()
    }

    /// From here on a beat is told to who waits for it.
    pub(super) fn await_beat(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
    }

    pub(super) fn heard(&self) -> Instant {
        self.since + Duration::from_micros(self.heard.load(Ordering::Relaxed))
    }

    pub(super) fn is_live(&self) -> bool {
        self.is_live.load(Ordering::SeqCst)
    }

    pub(super) fn is_shaken(&self) -> bool {
        self.is_live() && self.is_shaken.load(Ordering::SeqCst)
    }

    pub(super) fn shaken(&self, is_shaken: bool) {
        self.is_shaken.store(is_shaken, Ordering::SeqCst);
    }
}

/// Peers by their uids; those that are there also by their addresses.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_uid: HashMap<Uid, Arc<Known>>,
    by_address: HashMap<Arc<str>, Arc<Known>>,
    /// The number of the registry's last change, and the last of each runtime that it was about.
    pub(super) change: u64,
    changes: HashMap<Uid, u64>,
}

impl Table {
    pub(super) fn at(&self, address: &str) -> Option<&Arc<Known>> {
        self.by_address.get(address)
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Arc<Known>> {
        self.by_uid.get(uid)
    }

    /// A peer that is there.
    pub(super) fn live(&self, uid: &str) -> MeshResult<&Arc<Known>> {
        let Some(known) = self.get(uid) else {
            let nearest = nearest(uid, self.by_uid.keys().map(Uid::as_str));
            return Err(MeshError::UnknownPeer { uid: uid.to_owned(), nearest });
        };
        if known.is_live() { Ok(known) } else { Err(MeshError::NotConnected { uid: known.who.uid.clone() }) }
    }

    /// All who are there.
    pub(super) fn all(&self) -> Vec<Arc<Known>> {
        self.by_address.values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Another peer; one of its uid or address is gone before.
    pub(super) fn add(&mut self, known: &Arc<Known>) -> MeshResult<()> {
        if self.by_address.len() >= limits::MESH_PEERS {
            let reason = format!("there are {} runtimes already", limits::MESH_PEERS);
            return Err(MeshError::Refused { what: "a runtime", reason });
        }
        if self.by_uid.len() >= 2 * limits::MESH_PEERS {
            self.by_uid.retain(|_, known| known.is_live());
        }
        self.by_uid.insert(known.who.uid.clone(), Arc::clone(known));
        self.by_address.insert(Arc::clone(&known.who.address), Arc::clone(known));
        Ok(())
    }

    /// It is not there any more; whether it was.
    pub(super) fn take(&mut self, known: &Arc<Known>) -> bool {
        if self.by_address.get(&known.who.address).is_some_and(|other| Arc::ptr_eq(other, known)) {
            self.by_address.remove(&known.who.address);
        }
        known.beat.notify_one();
        known.is_live.swap(false, Ordering::SeqCst)
    }

    /// Whether a change of the registry is newer than what is known of this runtime.
    pub(super) fn is_news(&mut self, uid: &Uid, change: u64) -> bool {
        if change <= self.change || self.changes.get(uid).is_some_and(|&last| change <= last) {
            return false;
        }
        if self.changes.len() >= 2 * limits::MESH_PEERS {
            // What is older than all these does not come any more.
            self.changes.clear();
        }
        self.changes.insert(uid.clone(), change);
        true
    }

    /// Begins anew at a change of the registry.
    pub(super) fn begin(&mut self, change: u64) {
        self.change = change;
        self.changes.clear();
    }
}
