//! Hooks: methods of a process that the runner calls around transitions.

use serde_json::Value;

use super::{BoxError, ProcessId, ProcessState};

/// A transition as hooks and listeners see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition<'a> {
    /// The process.
    pub pid: &'a ProcessId,
    /// The state before; none at creation.
    pub from: Option<ProcessState>,
    /// The state after.
    pub to: ProcessState,
}

/// Hooks of a process. Write `#[process(hooks)]` to implement this by hand; without it there is an empty implementation.
///
/// Hooks are synchronous and must not block. Those before the commit (`on_exiting`, `on_entering`, `on_output_emitting`)
/// may run again after a crash; those after it run at most once. An error before the commit makes the process excepted.
pub trait Hooks {
    /// Whether there are any, so that processes without hooks pay nothing.
    const ENABLED: bool = true;

    /// The present state is about to be left.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_exiting(&mut self, transition: Transition<'_>) -> Result<(), BoxError> {
        let _ = transition;
        Ok(())
    }

    /// A state is about to be entered; not stored yet.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_entering(&mut self, transition: Transition<'_>) -> Result<(), BoxError> {
        let _ = transition;
        Ok(())
    }

    /// A state was entered and stored.
    fn on_entered(&mut self, transition: Transition<'_>) {
        let _ = transition;
    }

    /// An output is about to be stored.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_output_emitting(&mut self, port: &str, value: &Value) -> Result<(), BoxError> {
        let _ = (port, value);
        Ok(())
    }

    /// An output was stored.
    fn on_output_emitted(&mut self, port: &str, value: &Value) {
        let _ = (port, value);
    }

    /// The process was paused.
    fn on_paused(&mut self) {}

    /// The process was played.
    fn on_played(&mut self) {}

    /// A terminal state was entered and stored.
    fn on_terminated(&mut self) {}
}
