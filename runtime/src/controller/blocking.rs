//! Control for programs without tokio: the calls of [`RemoteProcessController`](super::RemoteProcessController), which block
//! the thread until the reply is there.
//!
//! The work is done on a thread of the controller's own, so a call needs no runtime, and finds none in its way: also in an
//! async context it works, and blocks the thread that it is made on. What it waits for must therefore not need that thread.
//! In an async program the other controller is the right one.
//!
//! ```
//! use procession_runtime::communicator::LocalCommunicator;
//! use procession_runtime::controller::{ControlError, blocking};
//!
//! fn main() -> Result<(), ControlError> {
//!     let controller = blocking::RemoteProcessController::connect(|| async { Ok(LocalCommunicator::new()) })?;
//!     let status = controller.get_status("relax-1");
//!     assert!(matches!(status, Err(ControlError::NotAlive(pid)) if pid == "relax-1".into()));
//!     Ok(())
//! }
//! ```

use serde_json::{Map, Value};
use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::{ControlError, RemoteContinue, RemoteExecute, RemoteLaunch, RemoteStatus};
use crate::communicator::{Communicator, CommunicatorError, CommunicatorResult, Deadlines, Task};
use crate::limits;
use crate::message::Node;
use crate::process::{Process, ProcessId, ProcessState};
use crate::spec::{Launch, Spec};

/// Controls processes elsewhere, and blocks meanwhile. A clone is the same. See the [module](self).
#[derive(Debug, Clone)]
pub struct RemoteProcessController {
    inner: super::RemoteProcessController,
    thread: Arc<Thread>,
}

/// The thread of a controller; it ends when this is dropped.
struct Thread {
    runtime: Handle,
    id: ThreadId,
    calls: Arc<Semaphore>,
    _stop: oneshot::Sender<()>,
}

impl Thread {
    fn start() -> Result<Arc<Self>, ControlError> {
        let failed = |error| ControlError::Thread(Some(Arc::new(error)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel::<()>());
        let name = "procession-controller".to_owned();
        // It is dropped there as well: a runtime must not be in an async context.
        let run = move || runtime.block_on(async { drop(stopped.await) });
        let thread = std::thread::Builder::new().name(name).spawn(run).map_err(failed)?;
        let calls = Arc::new(Semaphore::new(limits::BLOCKING_CALLS));
        Ok(Arc::new(Self { runtime: handle, id: thread.thread().id(), calls, _stop: stop }))
    }

    fn begin<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, ControlError>> + Send + 'static,
    ) -> Begun<T> {
        let (answer, answered) = sync_channel(1);
        if let Ok(place) = Arc::clone(&self.calls).try_acquire_owned() {
            self.runtime.spawn(async move {
                let result = work.await;
                drop(place);
                // Nobody may wait for it any more.
                drop(answer.send(result));
            });
        } else {
            let full = CommunicatorError::Limit("too many calls of a blocking controller are outstanding");
            drop(answer.send(Err(full.into())));
        }
        Begun { answered: Mutex::new(answered), thread: Arc::clone(self) }
    }

    /// Refuses to wait on the thread that would have to do the work.
    fn check(&self) -> Result<(), ControlError> {
        if std::thread::current().id() == self.id { Err(ControlError::OwnThread) } else { Ok(()) }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").finish_non_exhaustive()
    }
}

/// A call that is on its way: what Python's controller for threads calls a future.
#[must_use = "the call goes on, but its result is lost"]
pub struct Begun<T> {
    // `Sync`, so that it can be kept wherever the caller likes.
    answered: Mutex<Receiver<Result<T, ControlError>>>,
    thread: Arc<Thread>,
}

impl<T> Begun<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// Those of the call.
    pub fn wait(self) -> Result<T, ControlError> {
        self.thread.check()?;
        let answered = self.answered.into_inner().unwrap_or_else(PoisonError::into_inner);
        answered.recv().unwrap_or(Err(ControlError::Thread(None)))
    }

    /// Waits this long for the result; gives the call back if it has not come.
    ///
    /// # Errors
    /// Those of the call, in the result.
    pub fn wait_for(self, within: Duration) -> Result<Result<T, ControlError>, Self> {
        if let Err(error) = self.thread.check() {
            return Ok(Err(error));
        }
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(within);
        match answered {
            Ok(result) => Ok(result),
            Err(RecvTimeoutError::Disconnected) => Ok(Err(ControlError::Thread(None))),
            Err(RecvTimeoutError::Timeout) => Err(self),
        }
    }
}

impl<T> fmt::Debug for Begun<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// A task that is being prepared: [`wait`](Self::wait) for its result, or [`begin`](Self::begin) it and go on.
#[must_use = "a task is not sent until it is waited for or begun"]
pub struct Call<B, T> {
    task: B,
    thread: Arc<Thread>,
    result: PhantomData<fn() -> T>,
}

impl<B, T> Call<B, T> {
    fn new(thread: &Arc<Thread>, task: B) -> Self {
        Self { task, thread: Arc::clone(thread), result: PhantomData }
    }

    /// Sets options: `controller.launch(inputs).with(|launch| launch.persist().nowait())`.
    pub fn with<C, U>(self, options: impl FnOnce(B) -> C) -> Call<C, U>
    where
        C: IntoFuture<Output = Result<U, ControlError>>,
    {
        Call { task: options(self.task), thread: self.thread, result: PhantomData }
    }
}

impl<B, T> Call<B, T>
where
    B: IntoFuture<Output = Result<T, ControlError>>,
    B::IntoFuture: Send + 'static,
    T: Send + 'static,
{
    /// Sends the task, and waits for its result.
    ///
    /// # Errors
    /// The worker refused or failed, or the communicator failed.
    pub fn wait(self) -> Result<T, ControlError> {
        self.begin().wait()
    }

    /// Sends the task; its result can be waited for later.
    pub fn begin(self) -> Begun<T> {
        self.thread.begin(self.task.into_future())
    }
}

impl<B: fmt::Debug, T> fmt::Debug for Call<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("task", &self.task).finish_non_exhaustive()
    }
}

/// A task whose result are the outputs of the process `P`.
type Typed<B, P> = Call<B, <P as Spec>::Outputs>;

impl RemoteProcessController {
    /// A controller over this communicator, which runs elsewhere.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(communicator: Arc<dyn Communicator>) -> Result<Self, ControlError> {
        let inner = super::RemoteProcessController::new(communicator);
        Ok(Self { inner, thread: Thread::start()? })
    }

    /// A controller over the communicator that this future gives; both run on the controller's thread.
    ///
    /// # Errors
    /// No thread can be started, or the communicator cannot be made.
    pub fn connect<C, F>(connect: impl FnOnce() -> F + Send + 'static) -> Result<Self, ControlError>
    where
        C: Communicator,
        F: Future<Output = CommunicatorResult<C>> + Send + 'static,
    {
        let thread = Thread::start()?;
        let communicator = thread.begin(async move { Ok(connect().await?) }).wait()?;
        Ok(Self { inner: super::RemoteProcessController::new(Arc::new(communicator)), thread })
    }

    /// Allows calls to processes this long.
    pub fn with_call_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.inner = self.inner.with_call_deadlines(deadlines);
        self
    }

    /// Allows tasks this long, where the task does not say otherwise.
    pub fn with_task_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.inner = self.inner.with_task_deadlines(deadlines);
        self
    }

    /// Does anything with the other controller, on the thread of this one: to begin many calls at once, say.
    pub fn begin<T, F>(&self, work: impl FnOnce(super::RemoteProcessController) -> F) -> Begun<T>
    where
        T: Send + 'static,
        F: IntoFuture<Output = Result<T, ControlError>>,
        F::IntoFuture: Send + 'static,
    {
        self.thread.begin(work(self.inner.clone()).into_future())
    }

    /// How a process stands.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub fn get_status(&self, pid: impl Into<ProcessId>) -> Result<RemoteStatus, ControlError> {
        let pid = pid.into();
        self.begin(|inner| async move { inner.get_status(pid).await }).wait()
    }

    /// Holds a process, with a status text; an empty one is none. Returns when the pause is in force, with `true`; with
    /// `false` if the process has ended.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub fn pause_process(&self, pid: impl Into<ProcessId>, text: impl Into<String>) -> Result<bool, ControlError> {
        let (pid, text) = (pid.into(), text.into());
        self.begin(|inner| async move { inner.pause_process(pid, text).await }).wait()
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub fn play_process(&self, pid: impl Into<ProcessId>) -> Result<bool, ControlError> {
        let pid = pid.into();
        self.begin(|inner| async move { inner.play_process(pid).await }).wait()
    }

    /// Ends a process as killed, with a text; an empty one is none. Returns when it is done, with whether the process is
    /// killed.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub fn kill_process(&self, pid: impl Into<ProcessId>, text: impl Into<String>) -> Result<bool, ControlError> {
        let (pid, text) = (pid.into(), text.into());
        self.begin(|inner| async move { inner.kill_process(pid, text).await }).wait()
    }

    /// As [`kill_process`](Self::kill_process), but cuts off the step that runs.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub fn kill_process_force(&self, pid: impl Into<ProcessId>, text: impl Into<String>) -> Result<bool, ControlError> {
        let (pid, text) = (pid.into(), text.into());
        self.begin(|inner| async move { inner.kill_process_force(pid, text).await }).wait()
    }

    /// Waits until a process has ended, and tells how.
    ///
    /// # Errors
    /// Those of [the same call](super::RemoteProcessController::wait_for_end) of the other controller.
    pub fn wait_for_end(&self, pid: impl Into<ProcessId>, within: Duration) -> Result<ProcessState, ControlError> {
        let pid = pid.into();
        self.begin(|inner| async move { inner.wait_for_end(pid, within).await }).wait()
    }

    /// Has a worker run a process, with complete inputs, which the compiler checks.
    pub fn launch<P: Process>(&self, inputs: impl Launch<P>) -> Typed<RemoteLaunch<P::Outputs>, P> {
        Call::new(&self.thread, self.inner.launch::<P>(inputs))
    }

    /// Has a worker run a process by its name there.
    pub fn launch_process(
        &self,
        process: impl Into<String>,
        inputs: impl Into<Node>,
    ) -> Call<RemoteLaunch<Map<String, Value>>, Map<String, Value>> {
        Call::new(&self.thread, self.inner.launch_process(process, inputs))
    }

    /// Has a worker go on with a process that is stored.
    pub fn continue_process(
        &self,
        pid: impl Into<ProcessId>,
    ) -> Call<RemoteContinue<Map<String, Value>>, Map<String, Value>> {
        Call::new(&self.thread, self.inner.continue_process(pid))
    }

    /// Has a worker create a process, and then one run it, with complete inputs, which the compiler checks.
    pub fn execute<P: Process>(&self, inputs: impl Launch<P>) -> Typed<RemoteExecute<P::Outputs>, P> {
        Call::new(&self.thread, self.inner.execute::<P>(inputs))
    }

    /// Has a worker create a process by its name there, and then one run it.
    pub fn execute_process(
        &self,
        process: impl Into<String>,
        inputs: impl Into<Node>,
    ) -> Call<RemoteExecute<Map<String, Value>>, Map<String, Value>> {
        Call::new(&self.thread, self.inner.execute_process(process, inputs))
    }

    /// Tells all processes to hold, with a status text; an empty one is none. Nobody replies.
    ///
    /// # Errors
    /// The communicator failed.
    pub fn pause_all(&self, text: impl Into<String>) -> Result<(), ControlError> {
        let text = text.into();
        self.begin(|inner| async move { inner.pause_all(text).await }).wait()
    }

    /// Tells all processes to go on. Nobody replies.
    ///
    /// # Errors
    /// The communicator failed.
    pub fn play_all(&self) -> Result<(), ControlError> {
        self.begin(|inner| async move { inner.play_all().await }).wait()
    }

    /// Tells all processes to end as killed, with a text; an empty one is none. Nobody replies.
    ///
    /// # Errors
    /// The communicator failed.
    pub fn kill_all(&self, text: impl Into<String>) -> Result<(), ControlError> {
        let text = text.into();
        self.begin(|inner| async move { inner.kill_all(text).await }).wait()
    }

    /// Sends any task, and waits for the final reply; none if no reply was wanted.
    ///
    /// # Errors
    /// The worker refused or failed, or the communicator failed.
    pub fn task_send(&self, task: Task) -> Result<Option<Node>, ControlError> {
        self.begin(|inner| async move { inner.task_send(task).await }).wait()
    }
}
