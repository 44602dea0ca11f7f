//! States, and what a process ended with.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::error::Error;
use std::fmt;

use crate::spec::ExitCode;

/// The state of a process (S1). Paused is a flag beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessState {
    /// Exists, has not run yet.
    Created,
    /// Runs a step, or is about to.
    Running,
    /// Waits for children, a time or a resume.
    Waiting,
    /// Ended by itself, normally or with an exit code.
    Finished,
    /// Ended by an error or a panic.
    Excepted,
    /// Ended by a kill.
    Killed,
}

impl ProcessState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Running, Self::Waiting, Self::Finished, Self::Excepted, Self::Killed];

    /// Whether no state can follow.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Excepted | Self::Killed)
    }

    /// Whether `next` may follow (S2).
    pub fn can_go_to(self, next: Self) -> bool {
        match self {
            Self::Created => matches!(next, Self::Running | Self::Killed | Self::Excepted),
            Self::Running | Self::Waiting => next != Self::Created,
            Self::Finished | Self::Excepted | Self::Killed => false,
        }
    }

    /// The name in lower case, as plumpy writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Finished => "finished",
            Self::Excepted => "excepted",
            Self::Killed => "killed",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as it is stored: the message of the error and of each of its causes, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorInfo {
    /// What failed.
    pub message: String,
    /// Why, from the nearest cause to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Whether a panic was caught.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub panicked: bool,
    /// The step that failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

impl ErrorInfo {
    /// An error without causes.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), panicked: false, step: None }
    }

    /// The whole chain of an error.
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        let causes = std::iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string).collect();
        Self { causes, ..Self::new(error.to_string()) }
    }

    /// A caught panic.
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        Self { panicked: true, ..Self::new(crate::text::panic_text(payload)) }
    }

    pub(crate) fn in_step(mut self, step: &str) -> Self {
        self.step.get_or_insert_with(|| step.to_owned());
        self
    }
}

impl fmt::Display for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            write!(f, "step `{step}` {}: ", if self.panicked { "panicked" } else { "failed" })?;
        }
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// How a process ended, as it is stored; its outputs are stored beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Ended {
    /// Normally.
    Finished {
        /// What it stopped with; null for most.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
    /// With an exit code. Its state is finished, unsuccessfully.
    Exited {
        /// The code.
        exit: ExitCode,
    },
    /// By an error or a panic.
    Excepted {
        /// The error.
        error: ErrorInfo,
    },
    /// By a kill.
    Killed {
        /// The text of the kill.
        text: String,
    },
}

impl Ended {
    /// The terminal state.
    pub fn state(&self) -> ProcessState {
        match self {
            Self::Finished { .. } | Self::Exited { .. } => ProcessState::Finished,
            Self::Excepted { .. } => ProcessState::Excepted,
            Self::Killed { .. } => ProcessState::Killed,
        }
    }

    /// Whether it ended normally.
    pub fn is_successful(&self) -> bool {
        matches!(self, Self::Finished { .. })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished { .. } => f.write_str("finished"),
            Self::Exited { exit } => write!(f, "finished with exit code {exit}"),
            Self::Excepted { error } => write!(f, "excepted: {error}"),
            Self::Killed { text } if text.is_empty() => f.write_str("killed"),
            Self::Killed { text } => write!(f, "killed: {text}"),
        }
    }
}

/// How a process ended, with the outputs it had.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Termination {
    /// How it ended.
    pub ended: Ended,
    /// What it gave, by port; complete only if it finished normally.
    pub outputs: Map<String, Value>,
}

impl Termination {
    /// How it ended, with the outputs it had.
    pub fn new(ended: Ended, outputs: Map<String, Value>) -> Self {
        Self { ended, outputs }
    }
}
