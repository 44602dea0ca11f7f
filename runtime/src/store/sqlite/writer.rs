//! The one thread that writes: it takes all that is queued, does it in one transaction with one flush, and answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::SqliteOptions;
use super::error::{Fault, engine, of_process};
use super::ledger::{End, Ledger};
use super::lock::OwnerLock;
use super::queue::{Done, Job, Queue, Spin, Taken, Work};
use super::work::Bell;
use crate::limits;
use crate::store::{StoreError, StoreErrorKind, StoreResult};

/// The length of the log, in pages, at which it is copied into the database: 16 MiB. The longer, the more often a
/// page is written to the log only; the shorter, the sooner its file stops to grow, which makes a flush dearer.
const LOG_PAGES_MOST: i32 = 4_000;
/// A log of this length is copied when nothing is to be done.
const LOG_PAGES_IDLE: i32 = 64;
/// When nothing came for so long, nothing is to be done.
const IDLE: Duration = Duration::from_millis(200);

pub(super) struct Writer<'c> {
    connection: &'c Connection,
    path: PathBuf,
    ledger: Ledger<'c>,
    lock: Option<OwnerLock>,
    bell: Arc<Bell>,
    busy: Duration,
    log_pages: Arc<AtomicI32>,
    /// The length of the log at which it is copied next.
    copy_at: i32,
    /// Whether the last transaction had to wait for another OS process.
    waited: bool,
}

/// Writes until the queue is closed or a failure closes it.
pub(super) fn run(connection: Connection, path: PathBuf, options: &SqliteOptions, queue: &Queue, bell: Arc<Bell>) {
    let log_pages = Arc::new(AtomicI32::new(0));
    // Replaces SQLite's own checkpoint within the commit, which callers would wait for.
    let seen = Arc::clone(&log_pages);
    let hook = move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
        seen.store(pages, Ordering::Relaxed);
        Ok(())
    };
    let mut connection = connection;
    connection.set_prepared_statement_cache_capacity(128);
    // Whoever queues a job after a failure here finds the queue closed.
    if connection.wal_hook(Some(hook)).is_ok() && connection.busy_timeout(Duration::ZERO).is_ok() {
        let (ledger, busy) = (Ledger::new(&connection, options), options.busy);
        let connection = &connection;
        let (copy_at, waited) = (LOG_PAGES_MOST, false);
        let mut writer = Writer { connection, path, ledger, lock: None, bell, busy, log_pages, copy_at, waited };
        // A panic leaves no answers: the callers of its batch and all later ones find the store closed.
        let _ = catch_unwind(AssertUnwindSafe(|| writer.serve(queue)));
    }
    queue.close();
    // Jobs that came in between are dropped, which answers them.
    queue.take_now(&mut Vec::new());
}

impl Writer<'_> {
    fn serve(&mut self, queue: &Queue) {
        let mut spin = Spin::new();
        let mut jobs = Vec::new();
        loop {
            let dirty = self.log_pages.load(Ordering::Relaxed) >= LOG_PAGES_IDLE;
            match queue.take(&mut jobs, &mut spin, dirty.then_some(IDLE)) {
                Taken::Closed => return,
                Taken::Idle => self.checkpoint(CheckpointMode::PASSIVE),
                Taken::Jobs => {
                    if !self.batch(&mut jobs, queue) {
                        return;
                    }
                    if self.log_pages.load(Ordering::Relaxed) >= self.copy_at {
                        self.copy();
                    }
                    if self.waited && self.ledger.owned().is_none() {
                        // Lets others have their turn, who look for it now and then; jobs gather meanwhile.
                        std::thread::sleep(2 * limits::SQLITE_TURN);
                    }
                }
            }
        }
    }

    /// Copies a log that has become long. Where other OS processes write meanwhile, something of it is always left, and it
    /// would grow without end: then they are held up for the rest.
    fn copy(&mut self) {
        let shared = self.ledger.owned().is_none();
        self.checkpoint(CheckpointMode::PASSIVE);
        if shared && self.copy_at > LOG_PAGES_MOST * 3 {
            self.checkpoint_within(CheckpointMode::RESTART, limits::SQLITE_RESTART);
        }
    }

    /// Copies the log, and waits for who reads or writes it.
    fn checkpoint_within(&mut self, mode: CheckpointMode, patience: Duration) {
        if self.connection.busy_timeout(patience).is_ok() {
            self.checkpoint(mode);
        }
        // Without it, a transaction waits longer until it begins.
        let _ = self.connection.busy_timeout(Duration::ZERO);
    }

    /// Copies the log into the database. What a reader still needs of it is left for the next time.
    fn checkpoint(&mut self, mode: CheckpointMode) {
        let left = match self.connection.wal_checkpoint_v2(Some("main"), mode) {
            Ok((log, copied)) if copied < log => log,
            Ok(_) => 0,
            Err(_) => self.log_pages.load(Ordering::Relaxed).max(self.copy_at.saturating_sub(LOG_PAGES_MOST)),
        };
        self.copy_at = left.saturating_add(LOG_PAGES_MOST);
        self.log_pages.store(0, Ordering::Relaxed);
    }

    /// Does all jobs in one transaction and answers them; false if the store cannot go on.
    fn batch(&mut self, jobs: &mut Vec<Job>, queue: &Queue) -> bool {
        let owned_before = self.ledger.owned();
        let mut answers = Vec::with_capacity(jobs.len());
        match self.transact_in_time(jobs, &mut answers, queue) {
            Ok(told) => {
                let released = owned_before.is_some() && self.ledger.owned().is_none();
                if released && self.lock.is_some() {
                    // Others may be at it where it was not given up, but taken.
                    if jobs.iter().any(|job| matches!(job.work, Work::Release { .. })) {
                        self.checkpoint_within(CheckpointMode::TRUNCATE, self.busy);
                    }
                    self.lock = None;
                }
                if told {
                    self.bell.ring();
                }
                for (job, answer) in jobs.drain(..).zip(answers) {
                    // Who does not wait for the answer any more does not need it.
                    let _ = job.answer.send(answer);
                }
                true
            }
            Err(error) => {
                self.ledger.forget(owned_before);
                if owned_before.is_none() {
                    self.lock = None;
                }
                let rolled_back = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
                let error = engine("write to", self.path.display(), error);
                let passing =
                    matches!(error.kind(), StoreErrorKind::Full | StoreErrorKind::Busy | StoreErrorKind::ReadOnly);
                for job in jobs.drain(..) {
                    let _ = job.answer.send(Err(error.clone()));
                }
                rolled_back && passing
            }
        }
    }

    /// Does all jobs, anew where a lease has lapsed before the end: in time, or not at all. Whether workers were told.
    fn transact_in_time(
        &mut self,
        jobs: &mut Vec<Job>,
        answers: &mut Vec<StoreResult<Done>>,
        queue: &Queue,
    ) -> rusqlite::Result<bool> {
        let owned = self.ledger.owned();
        loop {
            match self.transact(jobs, answers, queue)? {
                End::Done { told } => return Ok(told),
                // The next time it is found lapsed at first.
                End::Lapsed => {
                    self.connection.execute_batch("ROLLBACK")?;
                    self.ledger.forget(owned);
                    answers.clear();
                }
            }
        }
    }

    fn transact(
        &mut self,
        jobs: &mut Vec<Job>,
        answers: &mut Vec<StoreResult<Done>>,
        queue: &Queue,
    ) -> rusqlite::Result<End> {
        self.waited = self.ledger.begin()?;
        while answers.len() < jobs.len() {
            for job in &jobs[answers.len()..] {
                answers.push(match self.apply(&job.work) {
                    Ok(done) => Ok(done),
                    Err(Fault::Refused(kind)) => Err(self.refusal(&job.work, kind)),
                    Err(Fault::Engine(error)) => return Err(error),
                });
            }
            // What came meanwhile shares the flush, and the pages: rows that lie together are written once.
            if jobs.len() < limits::COMMIT_QUEUE {
                queue.take_now(jobs);
            }
        }
        self.ledger.end()
    }

    fn apply(&mut self, work: &Work) -> Result<Done, Fault> {
        let ledger = &mut self.ledger;
        match work {
            Work::Commit(commit) => ledger.commit(commit).map(Done::Committed),
            Work::Create { epoch, process } => ledger.create(*epoch, process).map(Done::Created),
            Work::Park { epoch, pid, reason } => ledger.park(*epoch, pid, reason).map(|()| Done::Nothing),
            Work::Memo { epoch, pid, step, name, value } => {
                ledger.put_memo(*epoch, pid, *step, name, value).map(|()| Done::Nothing)
            }
            Work::Request { pid, text } => Ok(Done::Requested(ledger.request(pid, text)?)),
            Work::Discard { epoch, requests } => ledger.discard(*epoch, requests).map(|()| Done::Nothing),
            Work::Owe { epoch, pid, reply } => ledger.owe(*epoch, pid, reply).map(|()| Done::Nothing),
            Work::Settle { epoch, replies } => ledger.settle(*epoch, replies).map(|()| Done::Nothing),
            Work::Unsent { epoch, most } => ledger.unsent(*epoch, *most).map(Done::Unsent),
            Work::Sent { epoch, messages } => ledger.sent(*epoch, messages).map(|()| Done::Nothing),
            Work::Mend { epoch } => ledger.mend(*epoch).map(Done::Mended),
            Work::SaveSnapshot { epoch, pid, tag, at } => {
                ledger.save_snapshot(*epoch, pid, tag, *at).map(|()| Done::Nothing)
            }
            Work::DeleteSnapshots { epoch, pid, tag } => {
                ledger.delete_snapshots(*epoch, pid, tag.as_deref()).map(Done::Removed)
            }
            Work::Restore { epoch, pid, tag, at } => {
                ledger.restore(*epoch, pid, tag, *at).map(|record| Done::Restored(Box::new(record)))
            }
            Work::Delete { epoch, pid } => ledger.delete(*epoch, pid).map(|there| Done::Removed(u64::from(there))),
            Work::Join { worker, lease } => ledger.join(worker, *lease).map(Done::Acquired),
            Work::Renew { epoch, slots_used } => ledger.renew(*epoch, *slots_used).map(Done::Renewed),
            Work::Import { epoch, bundles } => ledger.import(*epoch, bundles).map(Done::Created),
            Work::Drain { worker } => Ok(Done::Drains(ledger.ask_to_drain(*worker)?)),
            Work::Claim { epoch, most, attempts } => {
                ledger.claim(*epoch, *most, *attempts).map(|claimed| Done::Claimed(Box::new(claimed)))
            }
            Work::HandOver { epoch, processes } => ledger.hand_over(*epoch, processes).map(|()| Done::Nothing),
            Work::Fail { epoch, pid, reason, attempts } => {
                ledger.fail(*epoch, pid, reason, *attempts).map(Done::Parked)
            }
            Work::Unpark { epoch, pid } => ledger.unpark(*epoch, pid).map(Done::Parked),
            Work::Hint { epoch, hints } => ledger.hint(*epoch, hints).map(|()| Done::Nothing),
            Work::Acquire => {
                if self.lock.is_none() {
                    let lock = OwnerLock::take(&self.path).map_err(|error| Fault::Refused(error.kind()))?;
                    self.lock = Some(lock);
                }
                Ok(Done::Acquired(ledger.acquire()?))
            }
            Work::Release { epoch } => {
                // Another owner's ownership is not this one's to give up.
                if ledger.owned() == Some(*epoch) {
                    ledger.release();
                } else {
                    ledger.leave(*epoch)?;
                }
                ledger.forget_hints(*epoch)?;
                Ok(Done::Nothing)
            }
            #[cfg(test)]
            Work::Panic => panic!("as the test wants it"),
            #[cfg(test)]
            Work::Stop(time) => {
                std::thread::sleep(*time);
                Ok(Done::Nothing)
            }
        }
    }

    fn refusal(&self, work: &Work, kind: StoreErrorKind) -> StoreError {
        let (operation, pid) = match work {
            Work::Commit(commit) => ("commit", &commit.pid),
            Work::Create { process, .. } => ("create", &process.pid),
            Work::Park { pid, .. } => ("park", pid),
            Work::Memo { pid, .. } => ("store a memo of", pid),
            Work::Request { pid, .. } => ("store a request to", pid),
            Work::Owe { pid, .. } => ("store an owed reply of", pid),
            Work::SaveSnapshot { pid, .. } => ("save a snapshot of", pid),
            Work::DeleteSnapshots { pid, .. } => ("delete snapshots of", pid),
            Work::Restore { pid, .. } => ("restore", pid),
            Work::Delete { pid, .. } => ("delete", pid),
            Work::Fail { pid, .. } => ("give up", pid),
            Work::Unpark { pid, .. } => ("unpark", pid),
            _ => return StoreError::new(kind, work.operation(), self.path.display()),
        };
        StoreError::new(kind, operation, of_process(pid, &self.path))
    }
}

impl Work {
    fn operation(&self) -> &'static str {
        match self {
            Self::Acquire => "own",
            Self::Release { .. } => "release",
            Self::Discard { .. } => "discard requests in",
            Self::Settle { .. } => "settle replies in",
            Self::Join { .. } => "join the workers in",
            Self::Renew { .. } => "renew a lease in",
            Self::Import { .. } => "import processes into",
            Self::Drain { .. } => "ask a worker to drain in",
            Self::Claim { .. } => "claim processes in",
            Self::HandOver { .. } => "hand processes over in",
            Self::Unsent { .. } => "take over messages of",
            Self::Sent { .. } => "forget messages of",
            Self::Mend { .. } => "mend",
            _ => "write to",
        }
    }
}
