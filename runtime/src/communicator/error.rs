//! What can go wrong between those who talk.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Why a message was not sent, or no reply came.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommunicatorError {
    /// The communicator was closed.
    #[error("the communicator is closed")]
    Closed,
    /// The connection was lost while this was on its way, or before its reply came: whether it arrived is not known.
    #[error("the connection was lost; whether the message arrived is not known")]
    Disconnected(#[source] Option<Source>),
    /// The broker did not take the message.
    #[error("the message was not delivered: {reason}")]
    DeliveryFailed {
        /// What the broker said.
        reason: String,
    },
    /// The broker refuses this message, and would do so again: it is too large, say, or its exchange is not there.
    #[error("the broker refuses the message: {reason}")]
    Refused {
        /// What the broker said.
        reason: String,
    },
    /// Nobody has the identifier, or the queue does not exist.
    #[error("nobody is reached under `{recipient}`")]
    Unroutable {
        /// The identifier or queue.
        recipient: String,
    },
    /// The other side failed; this is the text it sent, which is all that travels.
    #[error("{0}")]
    Remote(String),
    /// The other side was cancelled, with the text it sent.
    #[error("the other side was cancelled{}", text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Cancelled {
        /// Why, if it said so.
        text: Option<String>,
    },
    /// A subscriber of this kind has the identifier.
    #[error("a subscriber has the identifier `{0}` already")]
    Duplicate(String),
    /// No subscriber of this kind has the identifier.
    #[error("no subscriber has the identifier `{0}`")]
    Unknown(String),
    /// The identifier of a subscriber, or the name of a queue, cannot be one.
    #[error("`{identifier}` cannot be an identifier or a name: {reason}")]
    Identifier {
        /// What was given.
        identifier: String,
        /// Why not.
        reason: &'static str,
    },
    /// A deadline has passed.
    #[error("{what} took longer than {}", show(*.within))]
    Timeout {
        /// What took so long.
        what: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// A message cannot be written, or one that came cannot be read.
    #[error("the message cannot be {what}: {reason}")]
    Malformed {
        /// `written` or `read`.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// This communicator cannot do it, now or later: tasks, say, where nothing keeps them.
    #[error("{communicator} carries no {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// Which communicator.
        communicator: &'static str,
    },
    /// The mesh failed.
    #[error("the mesh failed while {action}")]
    Mesh {
        /// What was tried.
        action: &'static str,
        /// What failed.
        #[source]
        source: Source,
    },
    /// A limit is reached.
    #[error("{0}")]
    Limit(&'static str),
    /// The broker or the network failed.
    #[error("the broker failed while {action}")]
    Broker {
        /// What was tried.
        action: &'static str,
        /// What failed.
        #[source]
        source: Source,
    },
}

/// What caused an error.
pub type Source = Arc<dyn Error + Send + Sync>;

impl CommunicatorError {
    /// Whether the same call may succeed later without anything being mended. Of a
    /// [lost connection](Self::Disconnected) and a [timeout](Self::Timeout) it is not known whether the message arrived: repeat only what
    /// may happen twice.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Disconnected(_)
                | Self::Timeout { .. }
                | Self::Broker { .. }
                | Self::DeliveryFailed { .. }
                | Self::Limit(_)
        )
    }
}

fn show(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 { format!("{} s", duration.as_secs()) } else { format!("{duration:?}") }
}
