//! What comes after a step.

use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

use super::{BoxError, Flow, Slot, SlotCollector};
use crate::spec::{ExitCode, ExitCodes, spec_of};
use crate::text::suggest;

/// What comes after a step, as the step decided it.
///
/// Made by [`Cx::next`](super::Cx::next), [`wait`](super::Cx::wait), [`stop`](super::Cx::stop),
/// [`exit`](super::Cx::exit) and [`kill`](super::Cx::kill).
#[must_use = "a step hands over by returning this"]
pub struct Next<P: Flow>(pub(crate) Hand<P::Point>);

/// The step that a resume completes, with all its arguments but the last.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) point: &'static str,
    pub(crate) arguments: Map<String, Value>,
    /// The handles of children among the arguments: a runtime without a store knows their ends by them alone.
    pub(crate) children: Vec<Arc<Slot>>,
}

pub(crate) enum Hand<Point> {
    /// To what follows in the outline; the end, where there is none.
    Proceed,
    /// To this point.
    To(Point),
    /// Wait for a resume, then go on at the named point with the resume's value; without a point, with what follows.
    Wait { text: String, then: Option<Result<Resumed, (&'static str, serde_json::Error)>> },
    /// End, normally.
    Stop(Result<Value, serde_json::Error>),
    /// End, with an exit code.
    Exit(ExitCode),
    /// End as killed.
    Kill(String),
}

impl<P: Flow> Next<P> {
    /// Hands over to a point. Expansions of `steps!` call it.
    pub fn to(point: P::Point) -> Self {
        Self(Hand::To(point))
    }

    /// Ends the process with an exit code. Generated exit enums call it.
    pub fn exit(exit: P::Exit) -> Self {
        Self(Hand::Exit(exit.code()))
    }

    /// Waits for a resume, then hands over to the named point. All its arguments but the resume's value are written
    /// by the function. Expansions of `steps!` call it.
    pub fn wait_then(
        text: impl Into<String>,
        point: &'static str,
        write: impl FnOnce(&mut Map<String, Value>) -> Result<(), serde_json::Error>,
    ) -> Self {
        let mut arguments = Map::new();
        let collector = SlotCollector::start();
        let written = write(&mut arguments);
        let children = collector.finish();
        let then = written.map(|()| Resumed { point, arguments, children }).map_err(|error| (point, error));
        Self(Hand::Wait { text: text.into(), then: Some(then) })
    }
}

impl<P: Flow> fmt::Debug for Next<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Hand::Proceed => f.write_str("Proceed"),
            Hand::To(point) => f.debug_tuple("To").field(point).finish(),
            Hand::Wait { text, then: Some(Ok(resumed)) } => {
                f.debug_tuple("Wait").field(text).field(&resumed.point).field(&resumed.arguments).finish()
            }
            Hand::Wait { text, then: None } => f.debug_tuple("Wait").field(text).finish(),
            Hand::Wait { text, then: Some(Err((point, error))) } => {
                f.debug_tuple("Wait").field(text).field(point).field(error).finish()
            }
            Hand::Stop(result) => f.debug_tuple("Stop").field(result).finish(),
            Hand::Exit(exit) => f.debug_tuple("Exit").field(exit).finish(),
            Hand::Kill(text) => f.debug_tuple("Kill").field(text).finish(),
        }
    }
}

/// What [`Cx::next`](super::Cx::next) and [`Cx::wait`](super::Cx::wait) give.
///
/// In a process with an outline it is a [`Next`] already: what follows is written in the outline. `steps!` writes a
/// type with a method per step.
pub trait HandOver: Sized {
    /// Goes on.
    fn next() -> Self;
    /// Waits for a resume first.
    fn wait(text: String) -> Self;
}

impl<P: Flow> HandOver for Next<P> {
    fn next() -> Self {
        Self(Hand::Proceed)
    }

    fn wait(text: String) -> Self {
        Self(Hand::Wait { text, then: None })
    }
}

/// What lies ahead in the control flow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Ahead<Point> {
    /// This step.
    Step(Point),
    /// The normal end.
    End,
    /// The end with an exit code.
    Exit(ExitCode),
}

/// What a step ended with: how it goes on, and the outputs it returned.
#[derive(Debug)]
pub struct StepEnd<P: Flow> {
    pub(crate) next: Result<Next<P>, BoxError>,
    pub(crate) outputs: Vec<(&'static str, Value)>,
    /// Those of children, which are valid.
    pub(crate) forwarded: Vec<(&'static str, Map<String, Value>)>,
}

impl<P: Flow> StepEnd<P> {
    /// The end of a step that returned no outputs. An error that is an exit code of the process is one.
    pub fn new(next: Result<Next<P>, BoxError>) -> Self {
        let next = next.or_else(|error| {
            let code = error.downcast_ref::<ExitCode>();
            let exit = code.and_then(|code| P::Exit::ALL.iter().find(|exit| exit.code() == *code));
            exit.copied().map(Next::exit).ok_or(error)
        });
        Self { next, outputs: Vec::new(), forwarded: Vec::new() }
    }

    /// With outputs, by the name of their port; values of a namespace are an object.
    pub fn with_outputs(mut self, outputs: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        self.outputs.extend(outputs);
        self
    }

    /// With the outputs of a child that a namespace exposes, under its name, unless the step failed, or ended the process with an
    /// exit code or a kill: there may be no child then.
    pub fn forward<C: super::Process>(mut self, namespace: &'static str, child: &super::Child<C>) -> Self {
        if self.next.as_ref().is_ok_and(|next| !matches!(next.0, Hand::Exit(_) | Hand::Kill(_))) {
            match child.forwarded(spec_of::<P>(), namespace) {
                Ok(outputs) => self.forwarded.push((namespace, outputs)),
                Err(error) => self.next = Err(error),
            }
        }
        self
    }
}

/// A stored program point that the process does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// No step has the name.
    #[error("there is no program point `{name}`{}", near.map(|near| format!("; the nearest is `{near}`")).unwrap_or_default())]
    Unknown {
        /// The stored name.
        name: String,
        /// The nearest that exists.
        near: Option<&'static str>,
    },
    /// The arguments do not fit.
    #[error("arguments of program point `{name}`: {message}")]
    Arguments {
        /// The name of the point.
        name: String,
        /// What is wrong.
        message: String,
    },
}

impl PointError {
    /// No point of `P` has the name.
    pub fn unknown<P: Flow>(name: &str) -> Self {
        Self::Unknown { name: name.to_owned(), near: suggest(name, P::POINTS.iter().copied()) }
    }

    /// The arguments do not fit.
    pub fn arguments(name: &str, message: impl fmt::Display) -> Self {
        Self::Arguments { name: name.to_owned(), message: message.to_string() }
    }
}
