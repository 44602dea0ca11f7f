//! How far a process says it is: what its boundaries keep, and what whoever looks sees while a step runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::ProcessId;
use crate::clock::Timestamp;
use crate::limits;
use crate::store::{Epoch, Hint};

/// How far a process has said that it is, by [`Cx::progress`](super::Cx::progress), with what was said first of the same
/// work: from both it is reckoned how fast it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// So much is done.
    pub done: u64,
    /// Of so much in all, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// When that was said.
    pub at: Timestamp,
    /// How much was done when something was first said of this work.
    pub first: u64,
    /// When that was.
    pub since: Timestamp,
}

impl Progress {
    /// What is said now, after what was said before: less than that, or of another total, is of other work.
    pub(crate) fn after(before: Option<Self>, done: u64, total: Option<u64>, at: Timestamp) -> Self {
        match before.filter(|before| before.total == total && before.done <= done) {
            Some(Self { first, since, .. }) => Self { done, total, at, first, since },
            None => Self { done, total, at, first: done, since: at },
        }
    }

    /// How much of 100 is done, rounded down; none where the total is not known.
    pub fn percent(&self) -> Option<u8> {
        let total = u128::from(self.total?);
        let percent = (u128::from(self.done) * 100).checked_div(total).unwrap_or(100);
        Some(u8::try_from(percent.min(100)).unwrap_or(100))
    }

    /// How long the rest takes from now on, at the rate so far. None where nobody can know: without a total, before
    /// something was done since the first word, and where the process is silent for longer than the rest would take.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let rest = self.total?.checked_sub(self.done).filter(|rest| *rest > 0)?;
        let done = self.done.checked_sub(self.first).filter(|done| *done > 0)?;
        let took = self.at.since(self.since).as_millis();
        let rest = u64::try_from(took.checked_mul(rest.into())? / u128::from(done)).ok()?;
        Duration::from_millis(rest).checked_sub(now.since(self.at)).filter(|left| !left.is_zero())
    }
}

/// What a step that runs has said. It ends with what the step has done otherwise: with its boundary, or as it is cut off.
#[derive(Debug)]
pub(crate) struct Told {
    pid: ProcessId,
    epoch: Epoch,
    steps: u64,
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    progress: Progress,
    /// Since it was last handed to the store.
    changed: bool,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().progress
    }
}

/// Which steps that run have said how far they are. A step that says nothing never comes here.
#[derive(Debug, Default)]
pub(crate) struct Board {
    steps: Mutex<Vec<Weak<Told>>>,
    news: Notify,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Told>>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step says something for the first time.
    pub(crate) fn add(&self, pid: &ProcessId, epoch: Epoch, steps: u64, progress: Progress) -> Arc<Told> {
        let said = Mutex::new(Said { progress, changed: true });
        let told = Arc::new(Told { pid: pid.clone(), epoch, steps, said });
        let mut steps = self.lock();
        if steps.len() == steps.capacity() {
            // No more than twice as many as run.
            steps.retain(|told| told.strong_count() > 0);
        }
        steps.push(Arc::downgrade(&told));
        drop(steps);
        self.news.notify_one();
        told
    }

    /// It says something else.
    pub(crate) fn change(&self, told: &Told, progress: Progress) {
        let mut said = told.lock();
        let known = std::mem::replace(&mut said.changed, true);
        said.progress = progress;
        drop(said);
        if !known {
            self.news.notify_one();
        }
    }

    /// Waits until something was said.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// All that the steps of an epoch have said that still run; none where nothing is new.
    pub(crate) fn hints(&self, epoch: Epoch) -> Option<Vec<Hint>> {
        let running: Vec<Arc<Told>> = {
            let mut steps = self.lock();
            steps.retain(|told| told.strong_count() > 0);
            steps.iter().filter_map(Weak::upgrade).collect()
        };
        let mut new = false;
        let mut hints = Vec::new();
        for told in running.iter().filter(|told| told.epoch == epoch).take(limits::HINTS) {
            let mut said = told.lock();
            new |= std::mem::take(&mut said.changed);
            hints.push(Hint { pid: told.pid.clone(), steps: told.steps, progress: said.progress });
        }
        new.then_some(hints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    fn said(done: u64, total: Option<u64>, seconds: i64) -> Progress {
        Progress::after(None, done, total, at(seconds))
    }

    #[test]
    fn what_is_left_is_reckoned_from_the_first_word() {
        let progress = Progress::after(Some(said(10, Some(110), 0)), 30, Some(110), at(40));
        assert_eq!((progress.first, progress.since, progress.percent()), (10, at(0), Some(27)));
        // 20 took 40 s, so 80 take 160 s, of which 10 are over.
        assert_eq!(progress.left(at(50)), Some(Duration::from_secs(150)));
        assert_eq!(progress.left(at(40 + 160)), None, "silent for longer than it would have taken");
    }

    #[test]
    fn what_cannot_be_known_is_not_said() {
        assert_eq!(said(3, None, 0).percent(), None);
        assert_eq!(said(3, Some(9), 0).left(at(5)), None, "nothing was done since the first word");
        let unbounded = Progress::after(Some(said(1, None, 0)), 2, None, at(9));
        assert_eq!(unbounded.left(at(9)), None);
        let over = Progress::after(Some(said(1, Some(3), 0)), 9, Some(3), at(9));
        assert_eq!((over.percent(), over.left(at(9))), (Some(100), None));
        assert_eq!(said(0, Some(0), 0).percent(), Some(100));
        let huge = Progress::after(Some(said(0, Some(u64::MAX), i64::MIN / 1_000)), 1, Some(u64::MAX), at(9));
        assert_eq!((huge.percent(), huge.left(at(9))), (Some(0), None));
    }

    #[test]
    fn less_than_before_or_another_total_is_other_work() {
        let before = Some(said(5, Some(9), 0));
        assert_eq!(Progress::after(before, 4, Some(9), at(1)).since, at(1));
        assert_eq!(Progress::after(before, 6, Some(8), at(1)).since, at(1));
        assert_eq!(Progress::after(before, 5, Some(9), at(1)).since, at(0));
    }

    #[test]
    fn steps_that_have_ended_give_no_hints() {
        let (board, epoch) = (Board::default(), Epoch(3));
        assert_eq!(board.hints(epoch), None);
        let [one, other] = ["one", "other"].map(|pid| board.add(&pid.into(), epoch, 7, said(1, None, 0)));
        let _stale = board.add(&"stale".into(), Epoch(2), 7, said(1, None, 0));
        assert_eq!(board.hints(epoch).map(|hints| hints.len()), Some(2));
        assert_eq!(board.hints(epoch), None, "nothing is new");
        drop(other);
        assert_eq!(board.hints(epoch), None, "an end is told by its boundary");
        board.change(&one, said(2, None, 1));
        let hints = board.hints(epoch).unwrap_or_default();
        assert_eq!(hints, [Hint { pid: "one".into(), steps: 7, progress: said(2, None, 1) }]);
        drop(one);
        for _ in 0..1_000 {
            board.add(&"short".into(), epoch, 7, said(1, None, 0));
        }
        assert!(board.lock().len() < 10, "what has ended takes no room");
    }
}
