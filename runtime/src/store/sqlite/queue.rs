//! The way of jobs to the writer, and of answers back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{
    Bundle, Claimed, Commit, Committed, Creation, Epoch, Hint, Mended, NewProcess, OwedReply, Record, Renewed,
    RequestId, StoreResult, Unsent, Worker,
};

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    Commit(Box<Commit>),
    Create {
        epoch: Epoch,
        process: Box<NewProcess>,
    },
    Park {
        epoch: Epoch,
        pid: ProcessId,
        reason: String,
    },
    Memo {
        epoch: Epoch,
        pid: ProcessId,
        step: u64,
        name: String,
        value: String,
    },
    Request {
        pid: ProcessId,
        text: String,
    },
    Discard {
        epoch: Epoch,
        requests: Vec<RequestId>,
    },
    Owe {
        epoch: Epoch,
        pid: ProcessId,
        reply: OwedReply,
    },
    Settle {
        epoch: Epoch,
        replies: Vec<(ProcessId, String)>,
    },
    Unsent {
        epoch: Epoch,
        most: usize,
    },
    Sent {
        epoch: Epoch,
        messages: Vec<Uuid>,
    },
    Mend {
        epoch: Epoch,
    },
    SaveSnapshot {
        epoch: Epoch,
        pid: ProcessId,
        tag: String,
        at: Timestamp,
    },
    /// One, or all of the process.
    DeleteSnapshots {
        epoch: Epoch,
        pid: ProcessId,
        tag: Option<String>,
    },
    Restore {
        epoch: Epoch,
        pid: ProcessId,
        tag: String,
        at: Timestamp,
    },
    Delete {
        epoch: Epoch,
        pid: ProcessId,
    },
    Acquire,
    Join {
        worker: Worker,
        lease: Duration,
    },
    Renew {
        epoch: Epoch,
        slots_used: u32,
    },
    Drain {
        worker: Epoch,
    },
    Import {
        epoch: Epoch,
        bundles: Vec<Bundle>,
    },
    Claim {
        epoch: Epoch,
        most: usize,
        attempts: u32,
    },
    HandOver {
        epoch: Epoch,
        processes: Vec<ProcessId>,
    },
    Fail {
        epoch: Epoch,
        pid: ProcessId,
        reason: String,
        attempts: u32,
    },
    Unpark {
        epoch: Epoch,
        pid: ProcessId,
    },
    Hint {
        epoch: Epoch,
        hints: Vec<Hint>,
    },
    Release {
        epoch: Epoch,
    },
    #[cfg(test)]
    Panic,
    /// As if the OS process were stopped.
    #[cfg(test)]
    Stop(Duration),
}

/// What it answers.
#[derive(Debug)]
pub(super) enum Done {
    Committed(Committed),
    Created(Creation),
    Acquired(Epoch),
    Requested(RequestId),
    Restored(Box<Record>),
    Claimed(Box<Claimed>),
    Renewed(Renewed),
    Drains(bool),
    Parked(bool),
    Unsent(Unsent),
    Mended(Mended),
    Removed(u64),
    Nothing,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<StoreResult<Done>>,
    /// Its place in the queue, free again when the job is done, also if nobody waits for it any more.
    _place: OwnedSemaphorePermit,
}

/// What the writer finds.
pub(super) enum Taken {
    Jobs,
    /// Nothing came for as long as it wanted to wait.
    Idle,
    /// Nothing will come any more.
    Closed,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Whether there are jobs, to be looked at without the lock.
    filled: AtomicBool,
    arrived: Condvar,
    places: Arc<Semaphore>,
    /// How long the last job that was alone took.
    alone_us: AtomicU64,
}

/// A single caller looks for its answer for so long before it sleeps, if the last answer came in that time.
const LOOK_US: u64 = 400;

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    asleep: bool,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            filled: AtomicBool::new(false),
            arrived: Condvar::new(),
            places: Arc::new(Semaphore::new(limits::COMMIT_QUEUE)),
            alone_us: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job and waits for its answer; none if the writer is closed.
    pub(super) async fn ask(&self, work: Work) -> Option<StoreResult<Done>> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let (answer, answered) = oneshot::channel();
        let alone = self.places.available_permits() + 1 == limits::COMMIT_QUEUE;
        self.push(Job { work, answer, _place: place });
        if !alone {
            return answered.await.ok();
        }
        let start = Instant::now();
        if self.alone_us.load(Ordering::Relaxed) <= LOOK_US {
            // Yields to every other task, and spares the only one the wake-up of its thread, which takes about as
            // long as a quick disk takes for a flush.
            while start.elapsed() < Duration::from_micros(LOOK_US) && answered.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        let answer = answered.await.ok();
        self.alone_us.store(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        answer
    }

    fn push(&self, job: Job) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.jobs.push(job);
        self.filled.store(true, Ordering::Release);
        // A writer that is awake looks again before it sleeps.
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// No more jobs; those that are queued are still done.
    pub(super) fn close(&self) {
        self.places.close();
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Moves all that is queued to `jobs`, without waiting.
    pub(super) fn take_now(&self, jobs: &mut Vec<Job>) -> bool {
        if !self.filled.load(Ordering::Acquire) {
            return false;
        }
        let mut state = self.lock();
        self.filled.store(false, Ordering::Release);
        if jobs.is_empty() {
            std::mem::swap(jobs, &mut state.jobs);
        } else {
            jobs.append(&mut state.jobs);
        }
        true
    }

    /// Waits for jobs and takes all that are queued.
    pub(super) fn take(&self, jobs: &mut Vec<Job>, spin: &mut Spin, most: Option<Duration>) -> Taken {
        if self.take_now(jobs) {
            return Taken::Jobs;
        }
        if spin.wait(|| self.filled.load(Ordering::Acquire)) && self.take_now(jobs) {
            return Taken::Jobs;
        }
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            state.asleep = true;
            let Some(most) = most else {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, timeout) = self.arrived.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() && state.jobs.is_empty() && !state.closed {
                state.asleep = false;
                return Taken::Idle;
            }
        }
        state.asleep = false;
        drop(state);
        self.take_now(jobs);
        Taken::Jobs
    }
}

/// How long the writer looks for the next job before it sleeps. One caller that commits step after step comes back
/// sooner than a sleeping thread wakes up; where nobody does, looking is given up.
#[derive(Debug)]
pub(super) struct Spin {
    most: Duration,
    misses: u32,
}

impl Spin {
    /// Some times the way of an answer to its caller and of the next job back.
    const MOST: Duration = Duration::from_micros(100);
    /// After so many misses in a row a look is taken only now and then, to see if it helps again.
    const MISSES: u32 = 4;
    const RETRY: u32 = 32;

    pub(super) fn new() -> Self {
        let alone = std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        Self { most: if alone { Duration::ZERO } else { Self::MOST }, misses: 0 }
    }

    fn wait(&mut self, there: impl Fn() -> bool) -> bool {
        let tired = self.misses >= Self::MISSES && !self.misses.is_multiple_of(Self::RETRY);
        if self.most.is_zero() || tired {
            self.misses = self.misses.wrapping_add(1);
            return false;
        }
        let start = Instant::now();
        loop {
            if there() {
                self.misses = 0;
                return true;
            }
            if start.elapsed() >= self.most {
                self.misses = self.misses.wrapping_add(1);
                return false;
            }
            // Where there are more threads than cores, the caller may need this one.
            std::thread::yield_now();
        }
    }
}
