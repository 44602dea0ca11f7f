//! A runtime that takes tasks, until it is told to stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::ProcessLauncher;
use crate::communicator::{Communicator, CommunicatorError};
use crate::limits;
use crate::runner::{RunError, Runtime};

/// Serves a runtime over its [communicator](crate::RuntimeBuilder::communicator): takes tasks, and stops without losing
/// anything.
///
/// ```no_run
/// # use procession_runtime::communicator::LocalCommunicator;
/// # use procession_runtime::launcher::Worker;
/// # use procession_runtime::store::MemoryStore;
/// # use procession_runtime::Runtime;
/// # use std::sync::Arc;
/// # async fn serve(signal: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
/// let communicator = Arc::new(LocalCommunicator::new());
/// let runtime = Runtime::builder().store(MemoryStore::new()).communicator(communicator).build().await?;
/// Worker::new(runtime).run_until(signal).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a worker takes no task until it is started"]
pub struct Worker {
    runtime: Runtime,
    drain: Duration,
}

/// A worker that takes tasks. Dropped, it goes on as long as its communicator; [`stop`](Self::stop) it instead.
#[derive(Debug)]
#[must_use = "a worker that is dropped is not stopped"]
pub struct ServingWorker {
    worker: Worker,
    launcher: ProcessLauncher,
    communicator: Arc<dyn Communicator>,
    identifier: String,
    owed: usize,
}

/// Why a worker cannot serve.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The runtime was built without a communicator.
    #[error("the runtime has no communicator: add `.communicator(…)` to its builder")]
    NoCommunicator,
    /// The communicator failed.
    #[error("the communicator failed")]
    Communicator(#[from] CommunicatorError),
    /// The runtime failed.
    #[error("the runtime failed")]
    Runtime(#[from] RunError),
}

impl Worker {
    /// A worker with the processes of this runtime.
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime, drain: limits::SHUTDOWN }
    }

    /// Lets steps that run end for this long when it stops, before they are cut off; [`limits::SHUTDOWN`] by default.
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// Replies what an earlier worker on the same store has owed, as its processes end, and takes tasks from now on.
    ///
    /// # Errors
    /// The runtime has no communicator, the communicator refuses the subscription, or the store failed.
    pub async fn start(self) -> Result<ServingWorker, WorkerError> {
        let communicator = self.runtime.communicator().cloned().ok_or(WorkerError::NoCommunicator)?;
        let launcher = ProcessLauncher::new(&self.runtime, Arc::clone(&communicator));
        let owed = launcher.resume_owed().await?;
        let identifier = communicator.add_task_subscriber(Arc::new(launcher.clone()), None).await?;
        Ok(ServingWorker { worker: self, launcher, communicator, identifier, owed })
    }

    /// Serves until a signal, then [stops](ServingWorker::stop).
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`stop`](ServingWorker::stop).
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let serving = self.start().await?;
        signal.await;
        serving.stop().await
    }
}

impl ServingWorker {
    /// The runtime.
    pub fn runtime(&self) -> &Runtime {
        &self.worker.runtime
    }

    /// How many replies an earlier worker had left to be sent.
    pub fn owed(&self) -> usize {
        self.owed
    }

    /// Stops: takes no further task, lets steps that run end within the limit, sends the replies of processes that have
    /// ended, removes all subscriptions, and closes the communicator. What is unfinished goes on with the next worker on the store, which also sends the replies that
    /// are owed; a task that was not acknowledged goes back to its queue.
    ///
    /// # Errors
    /// The store could not be released, or the communicator could not be closed.
    pub async fn stop(self) -> Result<(), WorkerError> {
        let Self { worker, launcher, communicator, identifier, .. } = self;
        // A communicator that is away must not keep the steps from being drained.
        let removed = tokio::time::timeout(limits::FAREWELL, communicator.remove_task_subscriber(&identifier)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error = &error as &dyn std::error::Error, "the subscription to tasks was not removed");
        }
        worker.runtime.drain(worker.drain).await;
        if tokio::time::timeout(limits::FAREWELL, launcher.replied()).await.is_err() {
            tracing::warn!("replies that are due are left to the next worker");
        }
        let stopped = worker.runtime.leave().await;
        let closed = communicator.close().await;
        stopped?;
        Ok(closed?)
    }
}
