//! What is the matter in a store, and what is to be done about it: for operators, and programs that watch.
//!
//! A [`Doctor`] looks over the processes that have not ended, page by page, and tells of each with which something is the matter what
//! it is, since when, and the next action. It changes nothing. A [repair](Doctor::repair) does what is safe to do.
//!
//! ```
//! use procession_runtime::Runtime;
//! use procession_runtime::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::builder().store(MemoryStore::new()).build().await?;
//! let diagnosis = runtime.doctor()?.examine().await?;
//! for finding in &diagnosis.findings {
//!     println!("{}: {}; {}", finding.pid, finding.what, finding.next);
//! }
//! assert!(diagnosis.is_healthy());
//! # Ok(()) }
//! ```

mod examine;
mod finding;
mod repair;

pub use finding::{Action, Diagnosis, Finding, Repaired, Trouble};

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use crate::process::ProcessId;
use crate::runner::{RunError, Runtime};
use crate::store::Store;

/// Looks after a store.
#[derive(Clone)]
#[must_use = "a doctor does nothing by itself"]
pub struct Doctor {
    store: Arc<dyn Store>,
    /// Whose store it is, or one of whose workers it has.
    runtime: Option<Runtime>,
    stuck: Duration,
    most: usize,
    only: Option<HashSet<ProcessId>>,
}

impl Doctor {
    /// Of a store by itself, as a command line has it, which knows no process types.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, runtime: None, stuck: limits::STUCK, most: limits::FINDINGS, only: None }
    }

    /// Takes a process that can go on as stuck when its last boundary was longer ago than this; [`limits::STUCK`] by default.
    pub fn stuck_after(mut self, limit: Duration) -> Self {
        self.stuck = limit;
        self
    }

    /// Tells of at most so many processes with each trouble, and counts the others; [`limits::FINDINGS`] by default.
    pub fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Looks at these processes alone.
    pub fn only(mut self, processes: impl IntoIterator<Item = ProcessId>) -> Self {
        self.only = Some(processes.into_iter().collect());
        self
    }

    fn looks_at(&self, pid: &ProcessId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(pid))
    }
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor").field("stuck", &self.stuck).field("most", &self.most).finish_non_exhaustive()
    }
}

impl Runtime {
    /// A doctor for the store of this runtime, who knows its processes by their names.
    ///
    /// # Errors
    /// The runtime has no store.
    pub fn doctor(&self) -> Result<Doctor, RunError> {
        let store = self.store().ok_or(RunError::Volatile { request: "have a doctor" })?;
        Ok(Doctor { runtime: Some(self.clone()), ..Doctor::new(Arc::clone(store)) })
    }
}
