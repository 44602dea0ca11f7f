//! What SQLite's errors mean to a store.

use std::fmt::Display;
use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::process::ProcessId;
use crate::store::{StoreError, StoreErrorKind};

/// A job that was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is refused, before it has written anything.
    Refused(StoreErrorKind),
    /// SQLite failed; what the transaction has written is rolled back.
    Engine(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

pub(super) fn engine(operation: &'static str, subject: impl Display, error: Error) -> StoreError {
    StoreError::new(kind_of(&error), operation, subject).with_source(error)
}

fn kind_of(error: &Error) -> StoreErrorKind {
    let code = match error {
        Error::SqliteFailure(failure, _) => failure.code,
        Error::SqlInputError { error, .. } => error.code,
        error if is_damaged(error) => return StoreErrorKind::Corrupt,
        // A row that is gone.
        Error::StatementChangedRows(_) => return StoreErrorKind::Corrupt,
        _ => return StoreErrorKind::Other,
    };
    match code {
        // The last is what comes of many that open and close the file at the same time.
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            StoreErrorKind::Busy
        }
        ErrorCode::DiskFull => StoreErrorKind::Full,
        ErrorCode::ReadOnly => StoreErrorKind::ReadOnly,
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => StoreErrorKind::Corrupt,
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => StoreErrorKind::Io,
        _ => StoreErrorKind::Other,
    }
}

/// Whether a value is not of the type, or not the JSON, that this library writes.
pub(super) fn is_damaged(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
    )
}

/// Names a process and its file.
pub(super) fn of_process(pid: &ProcessId, path: &Path) -> String {
    format!("process `{pid}` in {}", path.display())
}
