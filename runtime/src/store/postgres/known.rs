//! What is remembered of processes, to find their rows without looking for them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits;
use crate::process::ProcessId;

/// The row of a process, and how many boundaries it had. An id is never given again, and a boundary is only written over
/// the revision that is remembered: what is out of date is noticed, and costs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) revision: i64,
    /// Whether it has a parent.
    pub(super) child: bool,
}

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<ProcessId, Known>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get<'a>(&self, pids: impl Iterator<Item = &'a ProcessId>) -> Vec<Option<Known>> {
        let known = self.lock();
        pids.map(|pid| known.get(pid).copied()).collect()
    }

    /// Remembers and forgets.
    pub(super) fn update<'a>(&self, news: impl Iterator<Item = (&'a ProcessId, Option<Known>)>) {
        let mut all = self.lock();
        for (pid, known) in news {
            match known {
                None => drop(all.remove(pid)),
                Some(known) => {
                    if let Some(kept) = all.get_mut(pid) {
                        *kept = known;
                    } else if all.len() < limits::KNOWN_PROCESSES {
                        all.insert(pid.clone(), known);
                    }
                }
            }
        }
    }

    /// What was read while another may have written is no better than what is known.
    pub(super) fn learn(&self, pid: &ProcessId, known: Known) {
        let mut all = self.lock();
        if all.len() < limits::KNOWN_PROCESSES {
            all.entry(pid.clone()).or_insert(known);
        }
    }

    pub(super) fn forget(&self, pid: &ProcessId) {
        self.lock().remove(pid);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}
