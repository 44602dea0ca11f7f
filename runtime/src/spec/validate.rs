//! All faults of a set of values, each with the path of its port.

use std::fmt;

/// Which side of a process a fault is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What it takes.
    Inputs,
    /// What it gives.
    Outputs,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
        })
    }
}

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    path: String,
    message: String,
    missing: bool,
}

impl Fault {
    /// A fault of the port at a dotted path; an empty path is the whole.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into(), missing: false }
    }

    pub(super) fn missing(path: &str) -> Self {
        Self { missing: true, ..Self::new(path, "required, but not set") }
    }

    /// The dotted path of the port, from the root of the inputs or outputs.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether a required value is not there.
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "`{}`: {}", self.path, self.message) }
    }
}

/// Values that do not fit the ports of a process: every fault at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{direction} of `{process}` are not valid: {}", list(faults))]
pub struct SpecError {
    process: String,
    direction: Direction,
    faults: Vec<Fault>,
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
}

impl SpecError {
    pub(crate) fn of(direction: Direction, process: &str, fault: Fault) -> Self {
        Self { process: process.to_owned(), direction, faults: vec![fault] }
    }

    pub(crate) fn check(process: &str, direction: Direction, faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { process: process.to_owned(), direction, faults }) }
    }

    /// The faults, in the order of the ports.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether inputs or outputs are at fault.
    pub fn direction(&self) -> Direction {
        self.direction
    }
}

/// Ports that are declared wrongly: every mistake at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ports of `{process}` are not declared rightly: {}", list(faults))]
pub struct DeclarationError {
    process: String,
    faults: Vec<Fault>,
}

impl DeclarationError {
    pub(super) fn check(process: &str, faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { process: process.to_owned(), faults }) }
    }

    pub(crate) fn panicked(process: &str, panic: impl fmt::Display) -> Self {
        Self { process: process.to_owned(), faults: vec![Fault::new("", panic.to_string())] }
    }

    /// The mistakes, in the order of the ports; paths begin with `inputs` or `outputs`.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}
