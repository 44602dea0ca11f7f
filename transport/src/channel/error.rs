//! What can go wrong on a channel.

use std::sync::Arc;

use bytes::Bytes;

use crate::{TransportError, TransportErrorKind};

/// The result of what a channel does.
pub type ChannelResult<T> = Result<T, ChannelError>;

/// Why nothing was sent or received.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// Nothing can be sent any more, or nothing comes any more and all was received (C9, C10).
    #[error("the channel `{topic}` is closed")]
    Closed {
        /// Its topic.
        topic: String,
    },
    /// The item cannot be written.
    #[error("an item cannot be written to the channel `{topic}`")]
    Unwritable {
        /// Its topic.
        topic: String,
        /// Why not.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// What came is no such item. It was taken out of the channel; what comes after it can be received.
    #[error("what came on the channel `{topic}` is no `{item}`: {reason}")]
    Malformed {
        /// Its topic.
        topic: String,
        /// The type that was expected.
        item: &'static str,
        /// What is wrong with it.
        reason: String,
        /// What came.
        body: Bytes,
    },
    /// The transport failed.
    #[error("the channel `{topic}` failed")]
    Transport {
        /// Its topic.
        topic: String,
        /// How it failed.
        #[source]
        source: TransportError,
    },
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelErrorKind {
    /// The channel is closed.
    Closed,
    /// An item cannot be written or read.
    Invalid,
    /// The transport failed.
    Transport(TransportErrorKind),
}

impl ChannelError {
    /// What kind of error it is.
    pub fn kind(&self) -> ChannelErrorKind {
        match self {
            Self::Closed { .. } => ChannelErrorKind::Closed,
            Self::Unwritable { .. } | Self::Malformed { .. } => ChannelErrorKind::Invalid,
            Self::Transport { source, .. } => ChannelErrorKind::Transport(source.kind()),
        }
    }

    /// Whether the same call may succeed later without anything being mended.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Transport { source, .. } if source.is_retryable())
    }

    /// What a transport says, as what the channel says.
    pub(super) fn of(topic: &str, error: TransportError) -> Self {
        let topic = topic.to_owned();
        match error.kind() {
            TransportErrorKind::Closed => Self::Closed { topic },
            _ => Self::Transport { topic, source: error },
        }
    }
}
