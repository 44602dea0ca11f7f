//! How a runtime is: what an endpoint for health checks answers, within a bound whatever else hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Runtime;
use super::shared::Shared;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Epoch, Store};

/// How a runtime is, as [`Runtime::health`] has found it. As JSON it is what a health endpoint answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether it goes on: what [`is_healthy`](Self::is_healthy) says.
    pub healthy: bool,
    /// What is wrong, if anything is.
    pub problems: Vec<String>,
    /// Whether it shuts down: it takes nothing new, which is no fault.
    pub closing: bool,
    /// Its lease, if it is one worker among others.
    pub lease: Option<LeaseHealth>,
    /// How many steps it runs at the same time.
    pub slots: usize,
    /// How many of these are used.
    pub slots_used: usize,
    /// How many are free.
    pub slots_free: usize,
    /// How many unfinished processes it has.
    pub processes: usize,
    /// How many of these it has in memory, and not in the store alone.
    pub resident: usize,
    /// How many of these wait for something, or are paused.
    pub waiting: usize,
    /// Whether its store answers, if it has one.
    pub store: Option<Answers>,
    /// Whether its communicator is connected, if it has one.
    pub communicator: Option<bool>,
    /// What it has counted as one worker among others.
    pub counted: Counted,
}

/// The lease of a worker, by its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaseHealth {
    /// The epoch under which it writes, and by which others know it.
    pub epoch: Epoch,
    /// How long a lease lasts, in milliseconds.
    pub lasts_ms: u64,
    /// How long it lasts still, in milliseconds, since it was renewed last; 0 where it may have lapsed.
    pub left_ms: u64,
    /// Whether it should have been renewed by now.
    pub late: bool,
}

/// Whether a store answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answers {
    /// It does, after so many milliseconds.
    #[serde(rename = "after_ms")]
    After(u64),
    /// It failed, with this.
    #[serde(rename = "failed")]
    Failed(String),
    /// It did not, within [`limits::HEALTH`].
    #[serde(rename = "silent")]
    Silent,
}

/// What a worker has counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counted {
    /// Processes that it claimed.
    pub claimed: u64,
    /// Processes that it parked.
    pub parked: u64,
    /// Processes that it could not load, or that could not go on here, each time.
    pub failed: u64,
    /// Processes that it handed over to others.
    pub handed_over: u64,
    /// How often it was not heard from in time, or did not hear of a write, and gave up all that it had.
    pub leases_lost: u64,
}

impl Health {
    /// Whether all is well. A runtime that shuts down is.
    pub fn is_healthy(&self) -> bool {
        self.problems.is_empty()
    }

    fn judge(mut self) -> Self {
        let mut problems = Vec::new();
        if let Some(lease) = &self.lease {
            match lease {
                LeaseHealth { left_ms: 0, .. } => problems.push("its lease may have lapsed".to_owned()),
                LeaseHealth { late: true, left_ms, .. } => {
                    problems.push(format!("its lease was not renewed in time, and lasts {left_ms} ms still"));
                }
                _ => {}
            }
        }
        match &self.store {
            Some(Answers::Failed(error)) => problems.push(format!("its store failed: {error}")),
            Some(Answers::Silent) => problems.push("its store does not answer".to_owned()),
            Some(Answers::After(_)) | None => {}
        }
        if self.communicator == Some(false) {
            problems.push("its communicator is not connected".to_owned());
        }
        self.healthy = problems.is_empty();
        self.problems = problems;
        self
    }
}

/// What a worker counts.
#[derive(Default)]
pub(crate) struct Tally {
    claimed: AtomicU64,
    parked: AtomicU64,
    failed: AtomicU64,
    handed_over: AtomicU64,
    leases_lost: AtomicU64,
}

fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

impl Tally {
    pub(super) fn lease_lost(&self) {
        add(&self.leases_lost, 1);
    }

    pub(super) fn claimed(&self, more: usize) {
        add(&self.claimed, more);
    }

    pub(super) fn parked(&self, more: usize) {
        add(&self.parked, more);
    }

    pub(super) fn failed(&self) {
        add(&self.failed, 1);
    }

    pub(super) fn handed_over(&self, more: usize) {
        add(&self.handed_over, more);
    }

    fn counted(&self) -> Counted {
        let [claimed, parked, failed, handed_over, leases_lost] =
            [&self.claimed, &self.parked, &self.failed, &self.handed_over, &self.leases_lost]
                .map(|counter| counter.load(Ordering::Relaxed));
        Counted { claimed, parked, failed, handed_over, leases_lost }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Runtime {
    /// How the runtime is. It answers within [`limits::HEALTH`], also where its store hangs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), procession_runtime::RunError> {
    /// let runtime = procession_runtime::Runtime::volatile().build().await?;
    /// let health = runtime.health().await;
    /// assert!(health.is_healthy(), "{:?}", health.problems);
    /// # Ok(()) }
    /// ```
    pub async fn health(&self) -> Health {
        let shared = self.shared();
        let store = match shared.store() {
            Some(store) => Some(ask(Arc::clone(store)).await),
            None => None,
        };
        let load = shared.load();
        Health {
            healthy: true,
            problems: Vec::new(),
            closing: shared.is_closing(),
            lease: lease(shared),
            slots: load.slots,
            slots_used: load.used,
            slots_free: load.slots.saturating_sub(load.used),
            processes: load.processes,
            resident: load.resting + load.driven,
            waiting: load.processes.saturating_sub(load.driven),
            store,
            communicator: self.communicator().map(|communicator| communicator.is_connected()),
            counted: shared.sharing.as_ref().map(|sharing| sharing.tally.counted()).unwrap_or_default(),
        }
        .judge()
    }
}

fn lease(shared: &Shared) -> Option<LeaseHealth> {
    // Who has left the store has none to lose.
    let sharing = shared.sharing.as_ref().filter(|_| !shared.has_left())?;
    let (lasts, left) = (sharing.lease.lasts(), sharing.lease.left());
    // It is renewed three times as often as it must be.
    Some(LeaseHealth {
        epoch: shared.env.epoch(),
        lasts_ms: millis(lasts),
        left_ms: millis(left),
        late: left < lasts / 3,
    })
}

/// Asks a store for the end of a process that is not there: one look at an index. On a task of its own, so that a store that blocks its
/// thread does not block the answer.
async fn ask(store: Arc<dyn Store>) -> Answers {
    let began = Instant::now();
    let nobody = ProcessId::from("health");
    let asked = tokio::spawn(async move { store.termination(&nobody).await.map(drop) });
    let abort = asked.abort_handle();
    let answer = tokio::time::timeout(limits::HEALTH, asked).await;
    abort.abort();
    match answer {
        Ok(Ok(Ok(()))) => Answers::After(millis(began.elapsed())),
        Ok(Ok(Err(error))) => Answers::Failed(error.to_string()),
        Ok(Err(failed)) => Answers::Failed(failed.to_string()),
        Err(_) => Answers::Silent,
    }
}
