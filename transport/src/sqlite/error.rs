//! What SQLite's errors mean to a transport.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::TransportError;

/// What went wrong, and with which file.
#[derive(Debug, thiserror::Error)]
#[error("the file {file}")]
struct OfFile {
    file: String,
    source: Error,
}

pub(super) fn engine(action: &'static str, path: &Path, source: Error) -> TransportError {
    TransportError::failed(action, OfFile { file: path.display().to_string(), source })
}

pub(super) fn refused(what: &'static str, path: &Path, reason: &str) -> TransportError {
    TransportError::Refused { what, reason: format!("{}: {reason}", path.display()) }
}

/// An error that says of the file itself that it is not what was written.
pub(super) fn damaged(reason: &'static str) -> Error {
    Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(reason.to_owned()))
}

pub(super) fn code(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::SqlInputError { error, .. } => Some(error.code),
        error => error.sqlite_error_code(),
    }
}

/// Whether another OS process has the file.
pub(super) fn is_busy(error: &Error) -> bool {
    // The last is what comes of many that open and close the file at the same time.
    matches!(
        code(error),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

/// Whether the file is as it was, and the same may succeed later.
pub(super) fn is_passing(error: &Error) -> bool {
    is_busy(error) || matches!(code(error), Some(ErrorCode::DiskFull | ErrorCode::ReadOnly))
}
