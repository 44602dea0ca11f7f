//! A runtime that works, until it is told to stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::ProcessLauncher;
use crate::communicator::{Communicator, CommunicatorError};
use crate::limits;
use crate::runner::{RunError, Runtime};

/// Keeps a runtime at work until it is told to stop, and stops it without losing anything.
///
/// Over its [communicator](crate::RuntimeBuilder::communicator), if it has one, it takes tasks. On a
/// [store that workers share](crate::RuntimeBuilder::worker) it claims processes, with or without a communicator.
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

/// A worker at work. Dropped, it goes on as long as its communicator; [`stop`](Self::stop) it instead.
#[derive(Debug)]
#[must_use = "a worker that is dropped is not stopped"]
pub struct ServingWorker {
    worker: Worker,
    tasks: Option<Tasks>,
}

/// How it takes tasks.
#[derive(Debug)]
struct Tasks {
    launcher: ProcessLauncher,
    communicator: Arc<dyn Communicator>,
    identifier: String,
    owed: usize,
}

/// Why a worker cannot serve.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The runtime was built without a communicator, and alone on its store: nobody gives it anything to do.
    #[error(
        "the runtime has no communicator and shares no store: add `.communicator(…)` or `.worker(…)` to its builder"
    )]
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

    /// Takes tasks from now on, if there is a communicator, and replies what an earlier worker on the same store has owed, as its
    /// processes end. A runtime that shares its store claims processes since it was built.
    ///
    /// # Errors
    /// The runtime has no communicator and shares no store, the communicator refuses the subscription, or the store failed.
    pub async fn start(self) -> Result<ServingWorker, WorkerError> {
        let tasks = match self.runtime.communicator() {
            Some(communicator) => Some(Tasks::take(&self.runtime, Arc::clone(communicator)).await?),
            None if self.runtime.is_sharing() => None,
            None => return Err(WorkerError::NoCommunicator),
        };
        Ok(ServingWorker { worker: self, tasks })
    }

    /// Serves until a signal, or until it is [asked to drain](Runtime::asked_to_drain), then [stops](ServingWorker::stop).
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`stop`](ServingWorker::stop).
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let serving = self.start().await?;
        tokio::select! {
            () = signal => {}
            () = serving.runtime().asked_to_drain() => {}
        }
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
        self.tasks.as_ref().map_or(0, |tasks| tasks.owed)
    }

    /// Stops: takes no further task or process, lets steps that run end within the limit, sends the replies of processes that have
    /// ended, removes all subscriptions, and closes the communicator.
    ///
    /// What is unfinished goes on with the next worker on the store, which also sends the replies that are owed; a task that was
    /// not acknowledged goes back to its queue. On a store that workers share, others go on at once with what runs no step, and
    /// with the rest as soon as its steps have ended.
    ///
    /// # Errors
    /// The store could not be released, or the communicator could not be closed.
    pub async fn stop(self) -> Result<(), WorkerError> {
        let Self { worker, tasks } = self;
        if let Some(tasks) = &tasks {
            tasks.take_no_more().await;
        }
        worker.runtime.drain(worker.drain).await;
        if let Some(tasks) = &tasks {
            tasks.replied().await;
        }
        let stopped = worker.runtime.leave().await;
        let closed = match &tasks {
            Some(tasks) => tasks.communicator.close().await,
            None => Ok(()),
        };
        stopped?;
        Ok(closed?)
    }
}

impl Tasks {
    async fn take(runtime: &Runtime, communicator: Arc<dyn Communicator>) -> Result<Self, WorkerError> {
        let launcher = ProcessLauncher::new(runtime, Arc::clone(&communicator));
        let owed = launcher.resume_owed().await?;
        let identifier = communicator.add_task_subscriber(Arc::new(launcher.clone()), None).await?;
        Ok(Self { launcher, communicator, identifier, owed })
    }

    async fn take_no_more(&self) {
        // A communicator that is away must not keep the steps from being drained.
        let removing = self.communicator.remove_task_subscriber(&self.identifier);
        if let Ok(Err(error)) = tokio::time::timeout(limits::FAREWELL, removing).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the subscription to tasks was not removed");
        }
    }

    async fn replied(&self) {
        if tokio::time::timeout(limits::FAREWELL, self.launcher.replied()).await.is_err() {
            tracing::warn!("replies that are due are left to the next worker");
        }
    }
}
