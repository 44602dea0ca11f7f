//! What can go wrong with processes elsewhere.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::communicator::{CommunicatorError, Source};
use crate::process::ProcessId;
use crate::spec::SpecError;

/// Why a process elsewhere could not be controlled.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody answers under the id: the process has ended, does not exist, or is not loaded by any worker just now.
    #[error("process {0} is not alive: nobody answers under its id")]
    NotAlive(ProcessId),
    /// The worker, or the process, failed or refused. This is the text that it sent, which is all that travels.
    #[error("{0}")]
    Remote(String),
    /// The other side was cancelled, with the text it sent.
    #[error("the other side was cancelled{}", text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Cancelled {
        /// Why, if it said so.
        text: Option<String>,
    },
    /// A deadline has passed. Whether what was asked has happened, or will, is not known.
    #[error("{what} took longer than {within:?}")]
    Timeout {
        /// What took so long.
        what: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// The connection was lost before the reply came. Whether what was asked has happened, or will, is not known.
    #[error("the connection was lost before the reply came")]
    Disconnected(#[source] Option<Source>),
    /// An input cannot be written as JSON; nothing was sent.
    #[error("the inputs cannot be sent")]
    Inputs(#[source] SpecError),
    /// The outputs do not fit the process's type. A process that ended without a required output, or with an exit code,
    /// replies with the outputs that it had, so this may be one (P20).
    #[error("the outputs cannot be read; the process may have ended unsuccessfully")]
    Outputs(#[source] SpecError),
    /// The reply is none to what was asked.
    #[error("the reply is no {expected}: `{reply}`")]
    Reply {
        /// What was expected.
        expected: &'static str,
        /// What came, shortened.
        reply: String,
    },
    /// A process was created, but it is not known that a worker goes on with it. It is stored: continue it by its id.
    #[error("process {pid} was created, but it is not known whether it goes on")]
    NotContinued {
        /// The process.
        pid: ProcessId,
        /// What went wrong.
        #[source]
        source: Box<ControlError>,
    },
    /// The thread of a blocking controller cannot be started, or has ended.
    #[error("the thread of the blocking controller does not run")]
    Thread(#[source] Option<Arc<io::Error>>),
    /// A blocking call was made on the controller's own thread, say by a subscriber that runs there: it would wait for itself.
    #[error("a blocking controller cannot wait on its own thread")]
    OwnThread,
    /// The communicator failed.
    #[error("the communicator failed")]
    Communicator(#[source] CommunicatorError),
}

impl ControlError {
    /// Whether the same call may succeed later without anything being mended. After a [timeout](Self::Timeout) and a
    /// [lost connection](Self::Disconnected) what was asked may have happened: repeat only what may happen twice, or a task under
    /// the same id.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Disconnected(_) | Self::NotAlive(_) => true,
            Self::Communicator(error) => error.is_retryable(),
            Self::NotContinued { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}

impl From<CommunicatorError> for ControlError {
    fn from(error: CommunicatorError) -> Self {
        match error {
            CommunicatorError::Remote(text) => Self::Remote(text),
            CommunicatorError::Cancelled { text } => Self::Cancelled { text },
            CommunicatorError::Timeout { what, within } => Self::Timeout { what, within },
            CommunicatorError::Disconnected(source) => Self::Disconnected(source),
            error => Self::Communicator(error),
        }
    }
}
