//! What can be wrong with a message.

use crate::communicator::CommunicatorError;

/// Why a value cannot be written as a message, or a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The bytes are no message.
    #[error("line {line}, column {column}: {reason}")]
    Malformed {
        /// Where, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A value that Python could not read, or more of it than a message may have.
    #[error("{0}")]
    Unwritable(String),
    /// The bytes stand for more than a message may have.
    #[error("{0}")]
    Limit(&'static str),
    /// A message that is none of the protocol's.
    #[error("{0}")]
    Form(String),
}

impl From<MessageError> for CommunicatorError {
    fn from(error: MessageError) -> Self {
        let what = match error {
            MessageError::Unwritable(_) => "written",
            _ => "read",
        };
        Self::Malformed { what, reason: error.to_string() }
    }
}
