//! What can go wrong in a mesh.

use std::sync::Arc;
use std::time::Duration;

use super::Uid;
use crate::{TransportError, TransportErrorKind};

/// The result of what a mesh does.
pub type MeshResult<T> = Result<T, MeshError>;

/// Why something was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// A text is no uid.
    #[error("`{text}` is no uid: one is a name, and indices after colons, as `worker:0:3`")]
    Uid {
        /// What was given.
        text: String,
    },
    /// A method cannot be called so.
    #[error("`{name}` cannot be the name of a method: those that begin with `mesh.` are the mesh's own")]
    MethodName {
        /// What was given.
        name: String,
    },
    /// This runtime was stopped.
    #[error("the mesh is stopped")]
    Stopped,
    /// No runtime of this uid was ever heard of.
    #[error("the runtime `{uid}` is not known{}", hint(.nearest.as_deref()))]
    UnknownPeer {
        /// What was asked for.
        uid: String,
        /// What is known and called nearly so.
        nearest: Option<String>,
    },
    /// The runtime is not connected any more, or does not know this one.
    #[error("the runtime `{uid}` is not connected")]
    NotConnected {
        /// Its uid.
        uid: Uid,
    },
    /// The runtime was lost while it was waited for: whether it has done it is not known.
    #[error("the runtime `{uid}` was lost")]
    Lost {
        /// Its uid.
        uid: Uid,
    },
    /// It took too long: whether it is done is not known.
    #[error("{what} took more than {deadline:?}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        deadline: Duration,
    },
    /// The runtime, or its object, has no such method.
    #[error("`{uid}` has no method `{method}`{}", hint(.nearest.as_deref()))]
    UnknownMethod {
        /// The runtime's uid.
        uid: Uid,
        /// What was asked for.
        method: String,
        /// What it has and is called nearly so.
        nearest: Option<String>,
    },
    /// The runtime has no such object.
    #[error("`{uid}` has no {kind} `{id}`{}", hint(.nearest.as_deref()))]
    UnknownObject {
        /// The runtime's uid.
        uid: Uid,
        /// Of what kind.
        kind: String,
        /// What was asked for.
        id: String,
        /// What it has and is called nearly so.
        nearest: Option<String>,
    },
    /// The method takes other arguments.
    #[error("`{method}` of `{uid}` takes other arguments: {reason}")]
    Arguments {
        /// The runtime's uid.
        uid: Uid,
        /// The method.
        method: String,
        /// What is wrong with these.
        reason: String,
    },
    /// The method has failed.
    #[error("`{method}` of `{uid}` failed: {message}")]
    Failed {
        /// The runtime's uid.
        uid: Uid,
        /// The method.
        method: String,
        /// What it said.
        message: String,
    },
    /// As much as may be is being done already: by the runtime, or waited for by this one.
    #[error("`{uid}` is busy")]
    Busy {
        /// The runtime's uid.
        uid: Uid,
    },
    /// The registry, or the runtime, does not want it.
    #[error("{what} was refused: {reason}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Arguments cannot be written, or a result cannot be read.
    #[error("{what} is not as expected")]
    Json {
        /// What.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The transport failed.
    #[error("`{to}` was not reached")]
    Transport {
        /// The uid or the address.
        to: String,
        /// How it failed.
        #[source]
        source: TransportError,
    },
    /// A blocking call was made where it would block the runtime it needs.
    #[error("a blocking call within asynchronous code")]
    Blocking,
}

fn hint(name: Option<&str>) -> String {
    name.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MeshErrorKind {
    /// This runtime is stopped.
    Stopped,
    /// There is no such runtime, object or method.
    NotFound,
    /// The runtime is not there now.
    Disconnected,
    /// It took too long.
    Deadline,
    /// The method was called, and failed.
    Failed,
    /// Too much is being done.
    Busy,
    /// What was given or came cannot be used.
    Invalid,
    /// It was not wanted.
    Refused,
    /// The transport failed.
    Transport(TransportErrorKind),
}

impl MeshError {
    /// What kind of error it is.
    pub fn kind(&self) -> MeshErrorKind {
        match self {
            Self::Stopped => MeshErrorKind::Stopped,
            Self::UnknownPeer { .. } | Self::UnknownMethod { .. } | Self::UnknownObject { .. } => {
                MeshErrorKind::NotFound
            }
            Self::NotConnected { .. } | Self::Lost { .. } => MeshErrorKind::Disconnected,
            Self::Deadline { .. } => MeshErrorKind::Deadline,
            Self::Failed { .. } => MeshErrorKind::Failed,
            Self::Busy { .. } => MeshErrorKind::Busy,
            Self::Uid { .. }
            | Self::MethodName { .. }
            | Self::Arguments { .. }
            | Self::Json { .. }
            | Self::Blocking => MeshErrorKind::Invalid,
            Self::Refused { .. } => MeshErrorKind::Refused,
            Self::Transport { source, .. } => MeshErrorKind::Transport(source.kind()),
        }
    }

    /// Whether the same call may succeed later without anything being mended. What was called may have been carried out, unless the
    /// runtime was not reached or busy.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::UnknownPeer { .. }
            | Self::NotConnected { .. }
            | Self::Lost { .. }
            | Self::Deadline { .. }
            | Self::Busy { .. } => true,
            Self::Transport { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}
