//! What PostgreSQL's errors mean to a store.

use std::error::Error as _;
use std::fmt::Display;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::store::{StoreError, StoreErrorKind};

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// A call that was not done, or of which nobody knows.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: StoreErrorKind,
    /// Whether it may have been done all the same: the connection broke after it was sent.
    pub(super) lost: bool,
    /// Whether the same may succeed in a moment.
    pub(super) passing: bool,
    pub(super) source: Option<Source>,
}

impl Fault {
    /// It is refused, and has changed nothing.
    pub(super) fn refused(kind: StoreErrorKind) -> Self {
        Self { kind, lost: false, passing: false, source: None }
    }

    /// There was no answer in time.
    pub(super) fn silent() -> Self {
        let source = Some("the server does not answer".into());
        Self { kind: StoreErrorKind::Unreachable, lost: true, passing: true, source }
    }

    /// Another did something at the same time; a look from now on sees it.
    pub(super) fn again() -> Self {
        Self { passing: true, ..Self::refused(StoreErrorKind::Busy) }
    }

    /// A row that is not as this library writes it.
    pub(super) fn damaged(source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..Self::refused(StoreErrorKind::Corrupt) }
    }

    /// Nothing was sent yet when this happened.
    pub(super) fn before_sending(self) -> Self {
        Self { lost: false, ..self }
    }

    /// Where it has kept from learning what became of something that was sent: nobody knows, and the next look may tell.
    pub(super) fn unknown(self) -> Self {
        let Self { kind, source, .. } = self;
        let source = source.unwrap_or_else(|| kind.to_string().into());
        Self { kind: StoreErrorKind::Unreachable, lost: true, passing: true, source: Some(source) }
    }

    /// Whether one of many that were sent together may have led to it, and the others may succeed without it.
    pub(super) fn is_of_one(&self) -> bool {
        use StoreErrorKind::{Corrupt, Limit, Other};
        !self.passing && matches!(self.kind, Corrupt | Limit | Other)
    }

    pub(super) fn into_error(self, operation: &'static str, subject: impl Display) -> StoreError {
        let error = StoreError::new(self.kind, operation, subject);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

impl From<StoreErrorKind> for Fault {
    fn from(kind: StoreErrorKind) -> Self {
        Self::refused(kind)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Some(told) = error.as_db_error() else {
            let broken = is_broken(&error);
            let kind = if broken { StoreErrorKind::Unreachable } else { StoreErrorKind::Other };
            return Self { kind, lost: broken, passing: broken, source: Some(error.into()) };
        };
        // One that ends the connection may have come between a commit and its answer.
        let lost = told.severity() != "ERROR";
        let (kind, passing) = if lost { fatal(told.code()) } else { told_kind(told) };
        let source = error.into_source();
        Self { kind, lost, passing, source }
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Self::from(error).before_sending()
            }
            PoolError::Timeout(TimeoutType::Wait) => Self {
                source: Some("all connections of the pool are in use".into()),
                ..Self::refused(StoreErrorKind::Busy)
            },
            PoolError::Timeout(_) => Self::silent().before_sending(),
            PoolError::Closed => Self::refused(StoreErrorKind::Closed),
            error => Self { source: Some(error.into()), ..Self::refused(StoreErrorKind::Other) },
        }
    }
}

/// Whether it is the connection, and not what was sent over it: a certificate, a password, a parameter.
fn is_broken(error: &Error) -> bool {
    match error.source() {
        None => error.is_closed() || error.to_string().contains("timeout"),
        Some(source) => source.downcast_ref::<std::io::Error>().is_some_and(|source| {
            !matches!(source.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput)
        }),
    }
}

/// What ends a connection, or does not let one begin; and whether that passes.
fn fatal(code: &SqlState) -> (StoreErrorKind, bool) {
    match code.code().get(..2) {
        // Starting, stopping, crashed, full of connections, or cut by an operator or a timeout.
        Some("57" | "53" | "08" | "25" | "XX" | "58") => (StoreErrorKind::Unreachable, true),
        // A password, a database or a role that is not there.
        _ => (StoreErrorKind::Other, false),
    }
}

/// Of an error that the tables raise themselves: a lease has lapsed within a transaction.
const LAPSED: &str = "PRC01";

/// What a statement that failed means; and whether that passes.
fn told_kind(told: &DbError) -> (StoreErrorKind, bool) {
    use StoreErrorKind::{Busy, Corrupt, Full, Io, Limit, Other, ReadOnly};
    let code = told.code();
    if code.code() == LAPSED {
        // The next look sees it.
        return (Busy, true);
    }
    let passing = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::TOO_MANY_CONNECTIONS,
        // Another has created a process of the same id or key: it is seen at the next look.
        SqlState::UNIQUE_VIOLATION,
    ];
    if passing.contains(code) {
        return (Busy, true);
    }
    let kind = match code {
        c if [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::INSUFFICIENT_PRIVILEGE].contains(c) => ReadOnly,
        c if *c == SqlState::DISK_FULL => Full,
        c if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::DUPLICATE_TABLE].contains(c) => Corrupt,
        c => match c.code().get(..2) {
            Some("53") => Busy,
            Some("54") => Limit,
            Some("58") => Io,
            Some("XX") => Corrupt,
            _ => Other,
        },
    };
    (kind, false)
}
