//! What the host told about an end of a topic, until that end looks at it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::wire::Place;
use crate::TransportError;

#[derive(Debug, Default)]
pub(super) struct News {
    /// Whether there is anything: all that is asked while nothing happens.
    is_fresh: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    told: Told,
    waiting: Vec<Waker>,
}

/// All that was told since it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) added: Vec<Place>,
    pub(super) removed: Vec<u64>,
    /// All senders have closed: those whose ends are still to come.
    pub(super) over: Option<Vec<u64>>,
    pub(super) stopped: Option<TransportError>,
}

impl News {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) {
        let mut state = self.state();
        what(&mut state.told);
        self.is_fresh.store(true, Ordering::SeqCst);
        state.waiting.drain(..).for_each(Waker::wake);
    }

    pub(super) fn add(&self, place: Place) {
        self.tell(|told| told.added.push(place));
    }

    pub(super) fn add_all(&self, places: &[Place]) {
        self.tell(|told| told.added.extend_from_slice(places));
    }

    /// It is gone; where nobody has looked yet, it was never there.
    pub(super) fn remove(&self, inlet: u64) {
        self.tell(|told| {
            let before = told.added.len();
            told.added.retain(|(id, _)| *id != inlet);
            if told.added.len() == before {
                told.removed.push(inlet);
            }
        });
    }

    pub(super) fn over(&self, senders: Vec<u64>) {
        self.tell(|told| told.over = Some(senders));
    }

    /// The first reason stays.
    pub(super) fn stop(&self, error: &TransportError) {
        self.tell(|told| {
            told.stopped.get_or_insert_with(|| error.clone());
        });
    }

    /// What is new, if anything is.
    pub(super) fn take(&self) -> Option<Told> {
        if !self.is_fresh.load(Ordering::SeqCst) {
            return None;
        }
        let mut state = self.state();
        self.is_fresh.store(false, Ordering::SeqCst);
        Some(std::mem::take(&mut state.told))
    }

    /// Wakes when something is new; whether it already is.
    pub(super) fn wait(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        wait_in(&mut state.waiting, waker);
        self.is_fresh.load(Ordering::SeqCst)
    }
}

/// Who waits is known once.
pub(super) fn wait_in(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|known| known.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}
