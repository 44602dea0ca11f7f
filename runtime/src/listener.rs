//! Listeners: observers of all processes of a runtime, told after the fact.

use serde_json::Value;

use crate::process::{ProcessId, Transition};

/// Observes the processes of a runtime.
///
/// A listener is told after the commit, at most once, on the task of the process: it must not block. A panic in it is
/// logged and ignored (S41).
pub trait Listener: Send + Sync + 'static {
    /// A process entered a state; `point` is the step that ended or is about to run.
    fn on_transition(&self, transition: Transition<'_>, point: &str) {
        let _ = (transition, point);
    }

    /// A process was paused.
    fn on_paused(&self, pid: &ProcessId) {
        let _ = pid;
    }

    /// A process was played.
    fn on_played(&self, pid: &ProcessId) {
        let _ = pid;
    }

    /// A process emitted an output.
    fn on_output_emitted(&self, pid: &ProcessId, port: &str, value: &Value) {
        let _ = (pid, port, value);
    }

    /// A process added a line to its report.
    fn on_report(&self, pid: &ProcessId, line: &str) {
        let _ = (pid, line);
    }
}
