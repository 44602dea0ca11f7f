//! Who waits for the end of a process, on a store that workers share, and is told where there may be none: the process is parked, or
//! gone.
//!
//! What is parked goes on once it is unparked, so its slot stays empty: a parent that waits for it waits on, and whoever asks again
//! is told of the end.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

use super::RunError;
use super::shared::Shared;
use crate::limits;
use crate::process::ProcessId;
use crate::store::StoreErrorKind;

#[derive(Default)]
pub(crate) struct Aside(Mutex<Waits>);

#[derive(Default)]
struct Waits {
    told: BTreeMap<ProcessId, watch::Sender<Option<RunError>>>,
    /// The last one that was looked at.
    last: Option<ProcessId>,
}

impl Aside {
    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is seen that the process may never end; gives why.
    pub(super) async fn seen(&self, pid: &ProcessId) -> RunError {
        // Dropped after what follows.
        let _waiting = Waiting { aside: self, pid };
        let mut told = self.lock().told.entry(pid.clone()).or_default().subscribe();
        loop {
            if let Some(error) = &*told.borrow_and_update() {
                return error.clone();
            }
            if told.changed().await.is_err() {
                // Its sender is dropped when it has told.
                std::future::pending::<()>().await;
            }
        }
    }

    fn tell(&self, pid: &ProcessId, error: RunError) {
        let told = self.lock().told.remove(pid);
        if let Some(told) = told {
            told.send_replace(Some(error));
        }
    }

    /// A process was parked.
    pub(super) fn parked(&self, pid: &ProcessId, reason: &str) {
        self.tell(pid, RunError::Parked { pid: pid.clone(), reason: reason.to_owned() });
    }

    /// The next ones that are waited for and are elsewhere, and after the last the first ones again.
    fn next(&self, most: usize, is_elsewhere: impl Fn(&ProcessId) -> bool) -> Vec<ProcessId> {
        let mut waits = self.lock();
        let after = waits.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = waits.told.range((after, Bound::Unbounded)).map(|(pid, _)| pid).filter(|pid| is_elsewhere(pid));
        let next: Vec<_> = next.take(most).cloned().collect();
        waits.last = next.last().filter(|_| next.len() == most).cloned();
        next
    }

    /// The look ended at this one: the next goes on after it.
    fn ended_at(&self, pid: ProcessId) {
        self.lock().last = Some(pid);
    }
}

/// Forgets a process when nobody waits for it any more.
struct Waiting<'a> {
    aside: &'a Aside,
    pid: &'a ProcessId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waits = self.aside.lock();
        if waits.told.get(self.pid).is_some_and(|told| told.receiver_count() == 0) {
            waits.told.remove(self.pid);
        }
    }
}

/// Looks at some of those that are waited for: each is a process that has not ended as far as is known here. It ends with the first
/// that the store does not answer for: the next ones might take as long, and are the first ones of the next look.
pub(super) async fn look(shared: &Shared) -> Result<(), RunError> {
    let (Some(store), Some(sharing)) = (shared.store(), &shared.sharing) else { return Ok(()) };
    for pid in sharing.aside.next(limits::LOOK_ASIDE, |pid| !shared.is_here(pid)) {
        match store.load(&pid).await {
            Ok(None) => sharing.aside.tell(&pid, RunError::NotFound(pid.clone())),
            Ok(Some(record)) => {
                if let Some(reason) = &record.parked {
                    sharing.aside.parked(&pid, reason);
                }
            }
            // The trouble of one is not that of the others.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => sharing.aside.tell(&pid, error.into()),
            Err(error) => {
                sharing.aside.ended_at(pid);
                return Err(error.into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_waited_for(aside: &Aside) -> usize {
        aside.lock().told.len()
    }

    #[tokio::test]
    async fn all_who_wait_are_told_and_nobody_is_kept() {
        let (aside, pid) = (Aside::default(), ProcessId::from("p"));
        let told = async {
            tokio::task::yield_now().await;
            assert_eq!(is_waited_for(&aside), 1);
            aside.parked(&pid, "why");
        };
        let parked = RunError::Parked { pid: pid.clone(), reason: "why".to_owned() };
        let (one, other, ()) = tokio::join!(aside.seen(&pid), aside.seen(&pid), told);
        assert_eq!((&one, &other), (&parked, &parked));
        assert_eq!(is_waited_for(&aside), 0);
        // Who comes later is not told of what was.
        let later = tokio::time::timeout(std::time::Duration::ZERO, aside.seen(&pid)).await;
        assert!(later.is_err() && is_waited_for(&aside) == 0, "who goes away is not kept");
    }

    /// Lets these be waited for while a test looks.
    async fn with_waits(aside: &Aside, [a, b, c]: &[ProcessId; 3], test: impl FnOnce()) {
        let look = async {
            tokio::task::yield_now().await;
            test();
        };
        tokio::select! {
            biased;
            _ = aside.seen(a) => {}
            _ = aside.seen(b) => {}
            _ = aside.seen(c) => {}
            () = look => {}
        }
    }

    #[tokio::test]
    async fn all_are_looked_at_in_turn() {
        let aside = Aside::default();
        let pids = ["a", "b", "c"].map(ProcessId::from);
        let [a, b, c] = pids.clone();
        let next = |most| aside.next(most, |_| true);
        with_waits(&aside, &pids, || {
            assert_eq!(next(2), [a.clone(), b.clone()]);
            assert_eq!(next(2), std::slice::from_ref(&c));
            assert_eq!(next(3), [a.clone(), b.clone(), c.clone()]);
            assert_eq!(next(3), [""; 0].map(ProcessId::from));
            aside.ended_at(a.clone());
            assert_eq!(next(3), [b, c], "after the one that was not answered for");
            assert_eq!(next(1), [a]);
        })
        .await;
    }

    #[tokio::test]
    async fn those_that_run_here_take_no_others_place() {
        let aside = Aside::default();
        let pids = ["a", "b", "c"].map(ProcessId::from);
        let elsewhere = pids[2].clone();
        with_waits(&aside, &pids, || {
            for _ in 0..2 {
                assert_eq!(aside.next(1, |pid| *pid == elsewhere), std::slice::from_ref(&elsewhere));
                assert_eq!(aside.next(1, |pid| *pid == elsewhere), [""; 0].map(ProcessId::from));
            }
        })
        .await;
    }
}
