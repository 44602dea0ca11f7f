//! What can go wrong in a store.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What kind of thing went wrong in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such process.
    NotFound,
    /// Another owner has taken over: what this one writes is refused.
    Stale,
    /// The process has ended: nothing of it changes any more.
    Ended,
    /// The process, or the parent that may look at its end, has not ended: it is not removed, and the end not taken back.
    Unfinished,
    /// The process has no snapshot of this tag.
    NoSnapshot,
    /// More than a limit allows.
    Limit,
    /// Another OS process owns the store.
    InUse,
    /// No space is left.
    Full,
    /// It cannot be written.
    ReadOnly,
    /// It is damaged, or no store at all.
    Corrupt,
    /// It was written by a newer version of this library.
    NewerFormat,
    /// It was closed, or an earlier failure has closed it.
    Closed,
    /// It is busy; later it may work.
    Busy,
    /// This store cannot do that.
    Unsupported,
    /// Its server was not reached for as long as it was tried: what was asked for may or may not have been done.
    Unreachable,
    /// Reading or writing failed.
    Io,
    /// Anything else.
    Other,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such process",
            Self::Stale => "another owner has taken over",
            Self::Ended => "the process has ended",
            Self::Unfinished => "it, or its parent, has not ended",
            Self::NoSnapshot => "there is no such snapshot",
            Self::Limit => "a limit is reached",
            Self::InUse => "another OS process owns it",
            Self::Full => "no space is left",
            Self::ReadOnly => "it is read-only",
            Self::Corrupt => "it is damaged or no store",
            Self::NewerFormat => "it was written by a newer version",
            Self::Closed => "it is closed",
            Self::Busy => "it is busy",
            Self::Unsupported => "it cannot do that",
            Self::Unreachable => "its server cannot be reached",
            Self::Io => "reading or writing failed",
            Self::Other => "it failed",
        })
    }
}

/// An error of a store: what was attempted, on what, and what kind of failure it was.
#[derive(Debug, Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    operation: &'static str,
    subject: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of an operation (`"commit"`) on a subject (a file, a process).
    pub fn new(kind: StoreErrorKind, operation: &'static str, subject: impl fmt::Display) -> Self {
        Self { kind, operation, subject: subject.to_string(), source: None }
    }

    /// With its cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anyone's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Busy | StoreErrorKind::Unreachable)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store: cannot {} {}: {}", self.operation, self.subject, self.kind)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
