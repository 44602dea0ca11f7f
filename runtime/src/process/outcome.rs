//! How a process ended, in its own types.

use serde_json::{Map, Value};
use std::fmt;

use super::{Ended, ErrorInfo, Termination};
use crate::spec::{ExitCode, ExitCodes, PortReader, PortValues, Spec, SpecError};

/// How a process ended, in its own types.
#[non_exhaustive]
pub enum Outcome<P: Spec> {
    /// Normally, with all its outputs.
    Finished(P::Outputs),
    /// With an exit code, foreseen by its author; also by the runtime's own, a missing required output.
    Exited(Exited<P>),
    /// By an error or a panic.
    Excepted(ErrorInfo),
    /// By a kill, with its text.
    Killed(String),
}

/// A process that ended with an exit code.
pub struct Exited<P: Spec> {
    code: ExitCode,
    outputs: Map<String, Value>,
    process: std::marker::PhantomData<fn() -> P>,
}

impl<P: Spec> Exited<P> {
    /// The exit code as data.
    pub fn code(&self) -> &ExitCode {
        &self.code
    }

    /// The exit code in the process's own type; none if it is the runtime's, or one that the process no longer has.
    pub fn exit(&self) -> Option<P::Exit> {
        P::Exit::from_number(self.code.number)
    }

    /// The outputs it had, by port; they may be incomplete.
    pub fn outputs(&self) -> &Map<String, Value> {
        &self.outputs
    }
}

impl<P: Spec> Outcome<P> {
    pub(crate) fn from_termination(termination: &Termination) -> Result<Self, SpecError> {
        let outputs = || termination.outputs.clone();
        Ok(match &termination.ended {
            Ended::Finished { .. } => Self::Finished(P::Outputs::read(&mut PortReader::new(outputs()))?),
            Ended::Exited { exit } => {
                Self::Exited(Exited { code: exit.clone(), outputs: outputs(), process: std::marker::PhantomData })
            }
            Ended::Excepted { error } => Self::Excepted(error.clone()),
            Ended::Killed { text } => Self::Killed(text.clone()),
        })
    }

    /// The outputs of a process that ended normally.
    pub fn finished(self) -> Option<P::Outputs> {
        match self {
            Self::Finished(outputs) => Some(outputs),
            _ => None,
        }
    }

    /// Whether it ended normally.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished(_))
    }
}

impl<P: Spec> fmt::Debug for Outcome<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished(outputs) => f.debug_tuple("Finished").field(outputs).finish(),
            Self::Exited(exited) => exited.fmt(f),
            Self::Excepted(error) => f.debug_tuple("Excepted").field(error).finish(),
            Self::Killed(text) => f.debug_tuple("Killed").field(text).finish(),
        }
    }
}

impl<P: Spec> fmt::Debug for Exited<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exited").field("code", &self.code).field("outputs", &self.outputs).finish()
    }
}
