//! What can go wrong around a process.

use crate::process::{ProcessId, ProcessState};
use crate::registry::RegistryError;
use crate::spec::SpecError;
use crate::store::StoreError;

/// Why a runtime cannot do what was asked. What goes wrong *inside* a process is its [`Outcome`](crate::Outcome).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The inputs are not valid.
    #[error("the inputs are refused")]
    Inputs(#[from] SpecError),
    /// The outputs of a process that has ended do not fit its type: it has changed since.
    #[error("the outputs cannot be read")]
    Outputs(#[source] SpecError),
    /// The process types cannot be registered.
    #[error("the registry is refused")]
    Registry(#[from] RegistryError),
    /// No process type has the name.
    #[error("no process `{name}` is registered{}", near.as_ref().map(|near| format!("; the nearest is `{near}`")).unwrap_or_default())]
    UnknownProcess {
        /// The name.
        name: String,
        /// The nearest that is.
        near: Option<String>,
    },
    /// No process has the id.
    #[error("there is no process {0}")]
    NotFound(ProcessId),
    /// The key belongs to a process of another type.
    #[error("key `{key}` belongs to process {pid} of type `{process}`")]
    KeyInUse {
        /// The key.
        key: String,
        /// The process that has it.
        pid: ProcessId,
        /// Its registered name.
        process: String,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The process was put aside: its checkpoint cannot be read, or it was lost with its worker too often. Its bytes are kept.
    #[error("process {pid} is parked: {reason}")]
    Parked {
        /// The process.
        pid: ProcessId,
        /// Why.
        reason: String,
    },
    /// The process cannot be loaded by this worker, and is left to others: another may have the version of the program that it needs.
    /// After [`attempts`](crate::WorkerOptions::attempts) it is parked.
    #[error("process {pid} cannot be loaded here: {reason}")]
    Unloadable {
        /// The process.
        pid: ProcessId,
        /// Why.
        reason: String,
    },
    /// The process has no snapshot of the tag.
    #[error("process {pid} has no snapshot `{tag}`{}", near.as_ref().map(|near| format!("; the nearest is `{near}`")).unwrap_or_default())]
    NoSnapshot {
        /// The process.
        pid: ProcessId,
        /// The tag.
        tag: String,
        /// The nearest that it has.
        near: Option<String>,
    },
    /// The snapshot cannot be gone on from; nothing was changed.
    #[error("snapshot `{tag}` of process {pid} cannot be read: {reason}")]
    UnreadableSnapshot {
        /// The process.
        pid: ProcessId,
        /// The tag.
        tag: String,
        /// Why.
        reason: String,
    },
    /// What was asked needs a store.
    #[error("a runtime without a store cannot {request}")]
    Volatile {
        /// What was asked.
        request: &'static str,
    },
    /// The process is unfinished, but does not run here: the store failed it, or its type is not registered. What is
    /// asked of it is kept until it goes on.
    #[error("process {0} does not run here")]
    Suspended(ProcessId),
    /// No worker that shares the store has dealt with what was asked of the process, for [so long](crate::limits::RPC_REPLY). It
    /// is kept until one does.
    #[error("nobody has dealt yet with what was asked of process {0}")]
    Unanswered(ProcessId),
    /// A request that someone filed cannot be read.
    #[error("a request to process {pid} cannot be read: {message}")]
    UnreadableRequest {
        /// The process.
        pid: ProcessId,
        /// Why.
        message: String,
    },
    /// Code of the process panicked where nothing could be made of it.
    #[error("process {pid} is suspended: its code panicked: {error}")]
    Panicked {
        /// The process.
        pid: ProcessId,
        /// The panic.
        error: Box<crate::process::ErrorInfo>,
    },
    /// More requests wait at the process than it takes.
    #[error("process {0} has too many requests waiting")]
    Busy(ProcessId),
    /// Not possible in the process's state.
    #[error("process {pid} is {state}: cannot {request}")]
    InvalidState {
        /// The process.
        pid: ProcessId,
        /// Its state.
        state: ProcessState,
        /// What was asked.
        request: &'static str,
    },
    /// The value of a resume does not fit the step that takes it.
    #[error("the value does not fit the step that process {pid} goes on with: {message}")]
    ResumeValue {
        /// The process.
        pid: ProcessId,
        /// What is wrong.
        message: String,
    },
    /// The runtime was shut down; a stored process goes on when the next one starts.
    #[error("the runtime was shut down")]
    Closed,
    /// The builder got no store. `Runtime::volatile()` is the runtime without one.
    #[error("no store was given: add `.store(…)`, or use `Runtime::volatile()` if everything may be lost")]
    NoStore,
    /// A process has streams and is stored where it outlives the OS process, and nothing was given that carries the streams as safely.
    #[error(
        "process `{process}` has streams, and what is on its way in them would be lost with this OS process: add \
         `.channels(…)` with a transport that is durable"
    )]
    NoChannels {
        /// The process.
        process: &'static str,
    },
    /// A process cannot be written at its start.
    #[error("process `{process}` cannot be written: {message}")]
    Unwritable {
        /// Its registered name.
        process: &'static str,
        /// Why.
        message: String,
    },
    /// A hook refused the launch.
    #[error("a launch of process `{process}` is refused by its hook: {error}")]
    Refused {
        /// Its registered name.
        process: &'static str,
        /// What the hook said.
        error: Box<crate::process::ErrorInfo>,
    },
    /// No listener type has the name: `RuntimeBuilder::register_listener` makes one known.
    #[error("no listener `{name}` is registered{}", near.as_ref().map(|near| format!("; the nearest is `{near}`")).unwrap_or_default())]
    UnknownListener {
        /// The name.
        name: String,
        /// The nearest that is.
        near: Option<String>,
    },
    /// A listener cannot be stored.
    #[error("listener `{name}` cannot be written: {message}")]
    UnwritableListener {
        /// Its name.
        name: &'static str,
        /// Why.
        message: String,
    },
    /// A process has as many of something as it may.
    #[error("process {pid} has {most} {what}, and may not have more")]
    TooMany {
        /// The process.
        pid: ProcessId,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A thread that the runtime needs cannot be started.
    #[error("no thread can be started: {0}")]
    Thread(String),
    /// The crate was compiled with `panic = "abort"`.
    #[error("panics abort in this build: a panic in a step would end the whole runtime; use `panic = \"unwind\"`")]
    PanicAborts,
}

impl RunError {
    /// Whether the same call may succeed later without anyone's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy(_)) || matches!(self, Self::Store(error) if error.is_retryable())
    }
}

/// Two errors are the same if they say the same.
impl PartialEq for RunError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for RunError {}
