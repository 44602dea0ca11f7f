#![doc = include_str!("../../../docs/remote.md")]

pub mod blocking;
mod error;
mod reply;
mod task;
mod wait;

pub use error::ControlError;
pub use reply::RemoteStatus;
pub use task::{RemoteContinue, RemoteExecute, RemoteLaunch};

use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

use crate::communicator::{Communicator, CommunicatorError, Deadlines, Rpc, Task};
use crate::limits;
use crate::message::{Broadcast, Intent, Node};
use crate::process::{Process, ProcessId};
use crate::spec::{Launch, Spec};

/// Controls processes elsewhere over a communicator: Rust ones and Python ones. A clone is the same.
///
/// How many times the other side says that its reply follows makes no difference (wire.md rule 6): each call waits for the
/// final value. See the [module](self) for what happens when the other side, or the broker, goes away.
#[derive(Debug, Clone)]
pub struct RemoteProcessController {
    communicator: Arc<dyn Communicator>,
    calls: Deadlines,
    tasks: Deadlines,
    status_poll: Duration,
}

impl RemoteProcessController {
    /// A controller over this communicator.
    pub fn new(communicator: Arc<dyn Communicator>) -> Self {
        Self { communicator, calls: Deadlines::RPC, tasks: Deadlines::TASK, status_poll: limits::STATUS_POLL }
    }

    /// Allows calls to processes this long.
    pub fn with_call_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.calls = deadlines;
        self
    }

    /// Allows tasks this long, where the task does not say otherwise.
    pub fn with_task_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.tasks = deadlines;
        self
    }

    /// Asks this often for the status of a process whose [end is waited for](Self::wait_for_end);
    /// [`limits::STATUS_POLL`] by default.
    pub fn with_status_poll(mut self, every: Duration) -> Self {
        self.status_poll = every;
        self
    }

    /// The communicator.
    pub fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.communicator
    }

    /// How a process stands.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub async fn get_status(&self, pid: impl Into<ProcessId>) -> Result<RemoteStatus, ControlError> {
        RemoteStatus::read(&self.ask(pid.into(), &Intent::Status).await?)
    }

    /// Holds a process, with a status text; an empty one is none. Resolves when the pause is in force, with `true`; with
    /// `false` if the process has ended.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub async fn pause_process(
        &self,
        pid: impl Into<ProcessId>,
        text: impl Into<String>,
    ) -> Result<bool, ControlError> {
        reply::truth(&self.ask(pid.into(), &Intent::Pause(some(text))).await?)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub async fn play_process(&self, pid: impl Into<ProcessId>) -> Result<bool, ControlError> {
        reply::truth(&self.ask(pid.into(), &Intent::Play).await?)
    }

    /// Ends a process as killed, with a text; an empty one is none. Resolves when it is done, with whether the process is
    /// killed: a step that runs is waited for.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub async fn kill_process(&self, pid: impl Into<ProcessId>, text: impl Into<String>) -> Result<bool, ControlError> {
        reply::truth(&self.ask(pid.into(), &Intent::Kill { message: some(text), force: false }).await?)
    }

    /// As [`kill_process`](Self::kill_process), but cuts off the step that runs.
    ///
    /// # Errors
    /// The process is [not alive](ControlError::NotAlive), or the communicator failed.
    pub async fn kill_process_force(
        &self,
        pid: impl Into<ProcessId>,
        text: impl Into<String>,
    ) -> Result<bool, ControlError> {
        reply::truth(&self.ask(pid.into(), &Intent::Kill { message: some(text), force: true }).await?)
    }

    /// Has a worker run a process, with complete inputs, which the compiler checks: `.await` it for the outputs.
    pub fn launch<P: Process>(&self, inputs: impl Launch<P>) -> RemoteLaunch<<P as Spec>::Outputs> {
        RemoteLaunch::typed::<P>(self, inputs.into_inputs())
    }

    /// Has a worker run a process by its name there: `.await` it for the outputs.
    ///
    /// A Python worker knows processes as `module.path:ClassName`.
    pub fn launch_process(
        &self,
        process: impl Into<String>,
        inputs: impl Into<Node>,
    ) -> RemoteLaunch<Map<String, Value>> {
        RemoteLaunch::named(self, process.into(), inputs.into())
    }

    /// Has a worker go on with a process that is stored: `.await` it for the outputs.
    ///
    /// A Rust worker that runs the process already, or knows how it ended, replies with that end. A Python worker would run it
    /// a second time: continue only what no Python worker runs.
    pub fn continue_process(&self, pid: impl Into<ProcessId>) -> RemoteContinue<Map<String, Value>> {
        RemoteContinue::new(self, pid.into())
    }

    /// Has a worker create a process, and then one run it, with complete inputs, which the compiler checks: `.await` it for
    /// the outputs.
    ///
    /// Other than [`launch`](Self::launch) it survives the loss of the worker also in Python: the process is stored before
    /// it runs.
    pub fn execute<P: Process>(&self, inputs: impl Launch<P>) -> RemoteExecute<<P as Spec>::Outputs> {
        RemoteExecute::typed::<P>(self, inputs.into_inputs())
    }

    /// Has a worker create a process by its name there, and then one run it: `.await` it for the outputs.
    pub fn execute_process(
        &self,
        process: impl Into<String>,
        inputs: impl Into<Node>,
    ) -> RemoteExecute<Map<String, Value>> {
        RemoteExecute::named(self, process.into(), inputs.into())
    }

    /// Tells all processes to hold, with a status text; an empty one is none. Nobody replies.
    ///
    /// # Errors
    /// The communicator failed.
    pub async fn pause_all(&self, text: impl Into<String>) -> Result<(), ControlError> {
        self.tell(Broadcast::new(&Intent::Pause(some(text))).subject("pause")).await
    }

    /// Tells all processes to go on. Nobody replies.
    ///
    /// # Errors
    /// The communicator failed.
    pub async fn play_all(&self) -> Result<(), ControlError> {
        self.tell(Broadcast::new(Node::Null).subject("play")).await
    }

    /// Tells all processes to end as killed, with a text; an empty one is none. Nobody replies.
    ///
    /// # Errors
    /// The communicator failed.
    pub async fn kill_all(&self, text: impl Into<String>) -> Result<(), ControlError> {
        let kill = Intent::Kill { message: some(text), force: false };
        self.tell(Broadcast::new(&kill).subject("kill")).await
    }

    /// Sends any task, and waits for the final reply; none if no reply was wanted.
    ///
    /// # Errors
    /// The worker refused or failed, or the communicator failed.
    pub async fn task_send(&self, task: Task) -> Result<Option<Node>, ControlError> {
        let no_reply = task.no_reply;
        match self.communicator.task_send(task).await? {
            Some(reply) if !no_reply => Ok(Some(reply.last().await?)),
            _ => Ok(None),
        }
    }

    /// Calls a process, through all levels of its reply.
    async fn ask(&self, pid: ProcessId, intent: &Intent) -> Result<Node, ControlError> {
        let call = Rpc::new(pid.to_string(), intent.into()).deadlines(self.calls);
        let answer = match self.communicator.rpc_send(call).await {
            Ok(reply) => reply.last().await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| match error {
            CommunicatorError::Unroutable { .. } => ControlError::NotAlive(pid),
            error => error.into(),
        })
    }

    async fn tell(&self, broadcast: Broadcast) -> Result<(), ControlError> {
        Ok(self.communicator.broadcast_send(broadcast).await?)
    }
}

/// A text for people; an empty one is none.
fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into()).filter(|text| !text.is_empty())
}
