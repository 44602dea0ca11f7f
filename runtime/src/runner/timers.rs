//! Times at which processes wake.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

use super::shared::Shared;
use crate::clock::Timestamp;
use crate::process::ProcessId;

/// Wake-up times, soonest first.
#[derive(Default)]
pub(crate) struct Timers {
    due: Mutex<BTreeSet<(Timestamp, ProcessId)>>,
    sooner: Notify,
}

impl Timers {
    pub(crate) fn add(&self, at: Timestamp, pid: ProcessId) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let soonest = due.first().is_none_or(|(first, _)| at < *first);
        due.insert((at, pid));
        if soonest {
            self.sooner.notify_one();
        }
    }

    pub(crate) fn remove(&self, at: Timestamp, pid: &ProcessId) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).remove(&(at, pid.clone()));
    }

    fn first(&self) -> Option<Timestamp> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).first().map(|(at, _)| *at)
    }

    fn take_due(&self, now: Timestamp) -> Vec<ProcessId> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut woken = Vec::new();
        while due.first().is_some_and(|(at, _)| *at <= now) {
            woken.extend(due.pop_first().map(|(_, pid)| pid));
        }
        woken
    }
}

/// Wakes processes when their time has come, until the runtime closes.
pub(crate) async fn run(shared: Arc<Shared>) {
    let clock = Arc::clone(&shared.env.clock);
    let far = Timestamp::from_millis(i64::MAX);
    loop {
        let next = shared.timers.first().unwrap_or(far);
        tokio::select! {
            () = shared.closed() => return,
            () = shared.timers.sooner.notified() => {}
            () = clock.until(next) => {
                for pid in shared.timers.take_due(clock.now()) {
                    shared.wake(&pid);
                }
            }
        }
    }
}
