//! What can go wrong on the way.

use std::error::Error;
use std::sync::Arc;

/// The result of what a transport does.
pub type TransportResult<T> = Result<T, TransportError>;

/// Why an envelope was not carried.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The transport, or this end of a topic, was closed.
    #[error("the transport is closed")]
    Closed,
    /// All senders of the topic have closed it: nothing can be sent any more.
    #[error("the topic `{topic}` has ended")]
    Ended {
        /// Its name.
        topic: String,
    },
    /// Nobody has this address.
    #[error("nobody is reached at `{address}`")]
    NoSuchAddress {
        /// What was asked for.
        address: String,
    },
    /// Somebody has this address.
    #[error("the address `{address}` is taken")]
    Taken {
        /// What was asked for.
        address: String,
    },
    /// Another receives from the topic, and one of the two wants to be alone.
    #[error("the topic `{topic}` has another receiver")]
    Occupied {
        /// Its name.
        topic: String,
    },
    /// The transport cannot do this at all.
    #[error("{transport} has no {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// The transport's name.
        transport: &'static str,
    },
    /// The topic is open otherwise.
    #[error("the topic `{topic}` is open otherwise: {reason}")]
    Mismatch {
        /// Its name.
        topic: String,
        /// In what it differs.
        reason: String,
    },
    /// A name cannot be one.
    #[error("`{name}` cannot be the name of {what}: {reason}")]
    Name {
        /// What was given.
        name: String,
        /// Of what.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// A bound is passed.
    #[error("{what} has {size}, and may have {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// The bound.
        limit: usize,
    },
    /// What came is no envelope.
    #[error("what came is no envelope: {reason}")]
    Malformed {
        /// What is wrong with it, and where.
        reason: String,
    },
    /// The other side refuses.
    #[error("{what} was refused: {reason}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What the other side said.
        reason: String,
    },
    /// The connection was lost: whether what was on its way has arrived is not known.
    #[error("the connection was lost")]
    Disconnected(#[source] Option<Source>),
    /// The network, the disk or a library failed.
    #[error("{action} failed")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Source,
    },
}

/// What caused an error.
pub type Source = Arc<dyn Error + Send + Sync>;

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// What it was asked of is closed, or has ended.
    Closed,
    /// There is nobody.
    NotFound,
    /// Somebody has it, or has it otherwise.
    Conflict,
    /// It cannot be done there.
    Unsupported,
    /// What was given cannot be carried, or what came cannot be read.
    Invalid,
    /// The other side does not want it.
    Refused,
    /// It may go another time.
    Unavailable,
}

impl TransportError {
    /// What kind of error it is.
    pub fn kind(&self) -> TransportErrorKind {
        match self {
            Self::Closed | Self::Ended { .. } => TransportErrorKind::Closed,
            Self::NoSuchAddress { .. } => TransportErrorKind::NotFound,
            Self::Taken { .. } | Self::Occupied { .. } | Self::Mismatch { .. } => TransportErrorKind::Conflict,
            Self::Unsupported { .. } => TransportErrorKind::Unsupported,
            Self::Name { .. } | Self::TooLarge { .. } | Self::Malformed { .. } => TransportErrorKind::Invalid,
            Self::Refused { .. } => TransportErrorKind::Refused,
            Self::Disconnected(_) | Self::Failed { .. } => TransportErrorKind::Unavailable,
        }
    }

    /// Whether the same call may succeed later without anything being mended.
    pub fn is_retryable(&self) -> bool {
        let is_passing = matches!(self, Self::Disconnected(_) | Self::Failed { .. });
        is_passing || matches!(self, Self::NoSuchAddress { .. } | Self::Taken { .. } | Self::Occupied { .. })
    }

    /// That `action` failed, because of `source`.
    pub fn failed(action: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed { action, source: Arc::new(source) }
    }
}
