//! Why a command failed, and with which exit status.

use std::fmt;
use std::process::ExitCode;

use procession_runtime::RunError;
use procession_runtime::store::{StoreError, StoreErrorKind};

/// What an exit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The process failed, or what was looked for is not as it should be.
    Failed = 1,
    /// The command was not understood.
    Usage = 2,
    /// There is no such process.
    NotFound = 3,
    /// The process is not in a state for this.
    Refused = 4,
    /// The store or the broker is not reached, or cannot be read.
    Backend = 5,
    /// Ctrl-C, or SIGTERM: what a shell says of both.
    Interrupted = 130,
}

/// A command that failed: what happened, to what, and what to do next.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: Status,
    what: String,
    next: Option<String>,
}

impl Fault {
    pub(super) fn new(status: Status, what: impl Into<String>) -> Self {
        Self { status, what: what.into(), next: None }
    }

    /// With all the causes of an error.
    pub(super) fn of(status: Status, what: &str, error: &dyn std::error::Error) -> Self {
        Self::new(status, format!("{what}: {}", chain(error)))
    }

    /// With the next command.
    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(self.status as u8)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        self.next.iter().try_for_each(|next| write!(f, "\n  next: {next}"))
    }
}

/// An error with all its causes, outermost first.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        use StoreErrorKind::{Ended, InUse, NoSnapshot, NotFound, Unfinished, Unsupported};
        let status = match error.kind() {
            NotFound | NoSnapshot => Status::NotFound,
            Ended | Unfinished | InUse | Unsupported => Status::Refused,
            _ => Status::Backend,
        };
        let fault = Self::new(status, chain(&error));
        match error.kind() {
            StoreErrorKind::Unreachable => {
                fault.next("is its server running, and the address right? `--store ADDRESS`")
            }
            InUse => fault.next("stop the program that owns it, or use a store that workers share"),
            StoreErrorKind::NewerFormat => fault.next("update this program"),
            StoreErrorKind::Corrupt => fault.next("look at the address; otherwise restore a backup"),
            StoreErrorKind::Full => fault.next("make room; processes go on from their last boundary"),
            StoreErrorKind::ReadOnly => fault.next("give this user the rights to write there"),
            StoreErrorKind::Busy => fault.next("try again"),
            _ => fault,
        }
    }
}

impl From<RunError> for Fault {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            error @ RunError::UnknownProcess { .. } => {
                Self::new(Status::NotFound, chain(&error)).next("`spec` lists the processes of this binary")
            }
            error => Self::new(Status::Refused, chain(&error)),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::new(Status::Failed, error.to_string())
    }
}
