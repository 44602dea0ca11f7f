//! Why a command failed, and with which exit status.

use std::fmt;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use procession_runtime::RunError;
use procession_runtime::store::{StoreError, StoreErrorKind};

/// What to do about a process that was put aside.
pub(super) const PARKED: &str = "deal with the reason, then `procession doctor --repair`";

/// What to do where no thread can be started.
pub(super) const THREADS: &str = "end other programs of this user, or raise its limit: `ulimit -u`";

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

    /// Of what cannot be read or written: a file, the standard output, a signal.
    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        let fault = Self::of(Status::Failed, what, error);
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                fault.next("make room there, and give the command again")
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                fault.next("give this user the rights to it")
            }
            ErrorKind::NotFound => fault.next("look at its path"),
            ErrorKind::IsADirectory => fault.next("it is a folder: give a file in it"),
            _ => fault,
        }
    }

    /// The same, where the command was given something that is not there.
    pub(super) fn usage(self) -> Self {
        Self { status: Status::Usage, ..self }
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
        let (status, next) = of_store(error.kind());
        let fault = Self::new(status, chain(&error));
        next.into_iter().fold(fault, Self::next)
    }
}

/// What a failure of a store says of the command, and what to do next; a test knows that there is something for each kind.
fn of_store(kind: StoreErrorKind) -> (Status, Option<&'static str>) {
    use StoreErrorKind as Kind;
    let (status, next) = match kind {
        Kind::NotFound => (Status::NotFound, "procession list"),
        Kind::NoSnapshot => (Status::NotFound, "`procession checkpoint list ID` tells which there are"),
        Kind::Ended => (Status::Refused, "`procession show ID` tells how"),
        Kind::Unfinished => (Status::Refused, "`procession watch ID` waits for its end"),
        Kind::InUse => (Status::Refused, "stop the program that owns it, or use a store that workers share"),
        Kind::Unsupported => (Status::Refused, "use a store that workers share: SQLite or PostgreSQL"),
        Kind::Stale => {
            (Status::Backend, "this program was held up for too long, and others go on; give the command again")
        }
        Kind::Limit => (Status::Backend, "give it less at once: `procession::limits` tells how much"),
        Kind::Full => (Status::Backend, "make room; processes go on from their last boundary"),
        Kind::ReadOnly => (Status::Backend, "give this user the rights to write there"),
        Kind::Corrupt => (Status::Backend, "look at the address; otherwise restore a backup"),
        Kind::NewerFormat => (Status::Backend, "update this program"),
        Kind::Closed => {
            (Status::Backend, "an earlier failure has closed it; deal with that, and give the command again")
        }
        Kind::Busy => (Status::Backend, "try again"),
        Kind::Unreachable => (Status::Backend, "is its server running, and the address right? `--store ADDRESS`"),
        Kind::Io => (Status::Backend, "look at its disk, and at the address: `--store ADDRESS`"),
        Kind::Other => {
            (Status::Backend, "look at the address, `--store ADDRESS`, and at what the store has: `procession doctor`")
        }
        _ => return (Status::Backend, None),
    };
    (status, Some(next))
}

impl From<RunError> for Fault {
    fn from(error: RunError) -> Self {
        let (status, next) = match &error {
            RunError::Store(error) => return error.clone().into(),
            RunError::UnknownProcess { .. } | RunError::NotFound(_) | RunError::NoSnapshot { .. } => {
                (Status::NotFound, of_run(&error))
            }
            error => (Status::Refused, of_run(error)),
        };
        let fault = Self::new(status, chain(&error));
        next.into_iter().fold(fault, Self::next)
    }
}

/// What to do next; a test knows that there is something for each kind.
fn of_run(error: &RunError) -> Option<String> {
    let json = "has to be writable as JSON: mend the code of this binary";
    Some(match error {
        RunError::Inputs(_) => "`spec PROCESS` tells what its ports take".to_owned(),
        RunError::Outputs(_) => "read them with the version of this binary that ran it".to_owned(),
        RunError::Registry(_) => "mend how this binary registers its processes, and build it again".to_owned(),
        RunError::UnknownProcess { .. } => "`spec` lists the processes of this binary".to_owned(),
        RunError::NotFound(_) => "procession list".to_owned(),
        RunError::KeyInUse { pid, .. } => format!("give another `--id`, or look at that one: procession show {pid}"),
        RunError::Store(error) => return of_store(error.kind()).1.map(str::to_owned),
        RunError::Parked { .. } => PARKED.to_owned(),
        RunError::Unloadable { pid, .. } => {
            format!("run it with the version of this binary that `procession show {pid}` tells")
        }
        RunError::NoSnapshot { pid, .. } => format!("procession checkpoint list {pid}"),
        RunError::UnreadableSnapshot { pid, .. } => format!("choose another: procession checkpoint list {pid}"),
        RunError::Volatile { .. } | RunError::NoStore => "give one: `--store ADDRESS`".to_owned(),
        RunError::NoChannels { .. } => "give it a broker with `--amqp URL`, or use a store of SQLite".to_owned(),
        RunError::Suspended(pid) => format!("look why: procession status {pid}; procession doctor"),
        RunError::Unanswered(_) => "is a worker running? `procession worker list`".to_owned(),
        RunError::UnreadableRequest { .. } => "update this program: a newer one may have asked".to_owned(),
        RunError::Panicked { pid, .. } => format!("mend the code of the process, then `run --continue {pid}`"),
        RunError::Busy(_) => "try again".to_owned(),
        RunError::InvalidState { pid, .. } | RunError::TooMany { pid, .. } => format!("procession show {pid}"),
        RunError::ResumeValue { pid, .. } => format!("procession status {pid}"),
        RunError::Closed => "give the command again: what is stored goes on".to_owned(),
        RunError::Unwritable { process, .. } => format!("what `{process}` keeps {json}"),
        RunError::Refused { process, .. } => format!("`spec {process}` tells what its ports take"),
        RunError::UnknownListener { .. } => "`register_listener` makes it known to this binary".to_owned(),
        RunError::UnwritableListener { name, .. } => format!("what `{name}` keeps {json}"),
        RunError::Thread(_) => THREADS.to_owned(),
        RunError::PanicAborts => "build this binary without `panic = \"abort\"`".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use procession_runtime::__private::{run_errors, store_error_kinds};

    use super::*;

    fn is_told(fault: &Fault, of: &str) {
        let told = fault.to_string();
        assert!(told.contains(of), "{told}");
        assert!(fault.next.as_ref().is_some_and(|next| !next.is_empty()), "what is next? {told}");
    }

    #[test]
    fn every_failure_of_a_store_names_it_and_what_is_next() {
        let kinds = store_error_kinds();
        assert!(kinds.len() >= 17, "{kinds:?}");
        for kind in kinds {
            let cause = std::io::Error::other("the cause");
            let fault = Fault::from(StoreError::new(kind, "write to", "store.db").with_source(cause));
            is_told(&fault, "store.db");
            is_told(&fault, "the cause");
            assert_ne!(fault.status, Status::Failed, "{fault}");
        }
    }

    #[test]
    fn every_failure_of_a_runtime_names_what_it_is_of_and_what_is_next() {
        let pid = "the-one".into();
        let errors = run_errors(&pid);
        assert!(errors.len() >= 27, "{errors:?}");
        for error in errors {
            let (told, of) = (error.to_string(), chain(&error));
            let fault = Fault::from(error);
            is_told(&fault, "");
            // Each says what it is of, where that is one thing.
            assert!(
                of.contains(&told) && ["`", "the-one", "store", "runtime", "thread"].iter().any(|it| of.contains(it)),
                "{of}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_named() {
        use std::io::{Error, ErrorKind};
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::NotFound, ErrorKind::IsADirectory]
        {
            let fault = Fault::io("`a.json` cannot be read", &Error::from(kind));
            is_told(&fault, "error: `a.json` cannot be read: ");
        }
        // Whoever does not read any more is told nothing.
        let gone = Fault::io("the standard output cannot be written", &Error::from(ErrorKind::BrokenPipe));
        assert!(gone.next.is_none() && gone.status == Status::Failed, "{gone}");
    }
}
