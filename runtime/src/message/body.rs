//! The bodies of the protocol, and their way to and from values.

use std::fmt;

use super::Node;
use crate::process::ProcessId;

/// A broadcast (wire.md 7).
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// What is told.
    pub body: Node,
    /// Who tells it: a process's id, or anything else.
    pub sender: Node,
    /// What it is about: what filters look at.
    pub subject: Option<String>,
    /// What it belongs to.
    pub correlation_id: Node,
}

impl Broadcast {
    /// A broadcast without sender and subject, which every filter lets pass.
    pub fn new(body: Node) -> Self {
        Self { body, ..Self::default() }
    }

    /// Is about this.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Comes from this: a [`ProcessId`], or another value.
    pub fn sender(mut self, sender: impl Into<Node>) -> Self {
        self.sender = sender.into();
        self
    }

    /// Belongs to this.
    pub fn correlation_id(mut self, id: impl Into<Node>) -> Self {
        self.correlation_id = id.into();
        self
    }
}

/// A reply to a task or a call (wire.md 5).
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyBody {
    /// The value.
    Result(Node),
    /// The other side failed with this text.
    Exception(String),
    /// A further reply follows.
    Pending,
    /// The other side was cancelled, with a text if it gave one.
    Cancelled(Option<String>),
}

/// What is asked of a process by a call (wire.md 6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Intent {
    /// Go on.
    Play,
    /// Hold, with a status text.
    Pause(Option<String>),
    /// End, with a text.
    Kill {
        /// Why.
        message: Option<String>,
        /// Whether the step that runs is cut off.
        force: bool,
    },
    /// Tell how it stands.
    Status,
}

/// What is asked of a worker by a task (wire.md 8).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TaskBody {
    /// Create a process and run it.
    Launch {
        /// The process and its inputs.
        create: Create,
        /// Whether the reply is the process's id, at once, instead of its outputs at the end.
        nowait: bool,
    },
    /// Create a process and store it.
    Create(Create),
    /// Run a process that is stored.
    Continue {
        /// The process.
        pid: ProcessId,
        /// Whether the reply is the process's id, at once.
        nowait: bool,
        /// Go on from this snapshot.
        tag: Option<String>,
    },
}

/// A process to create.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Create {
    /// Its registered name.
    pub process: String,
    /// Whether it is stored.
    pub persist: bool,
    /// Arguments of the constructor by place: the inputs first, then the pid.
    pub init_args: Vec<Node>,
    /// Arguments of the constructor by name: `inputs`, `pid`.
    pub init_kwargs: Vec<(Node, Node)>,
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Play => "play",
            Self::Pause(_) => "pause",
            Self::Kill { .. } => "kill",
            Self::Status => "status",
        })
    }
}
