//! What can be wrong with a message.

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
    /// A value that Python could not read.
    #[error("{0}")]
    Unwritable(String),
    /// More than a message may have.
    #[error("{0}")]
    Limit(&'static str),
    /// A message that is none of the protocol's.
    #[error("{0}")]
    Form(String),
}
