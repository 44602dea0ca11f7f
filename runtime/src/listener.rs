//! Listeners: observers of processes, told after the fact.
//!
//! There are three ways to listen. [`RuntimeBuilder::listener`](crate::RuntimeBuilder::listener) and
//! [`Runtime::add_listener`](crate::Runtime::add_listener) observe all processes of a runtime,
//! [`AnyHandle::add_listener`](crate::AnyHandle::add_listener) observes one, and none of these is stored. A
//! [`SavedListener`] belongs to one process, is stored with it, and works again when the process is loaded (S41).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::process::{Ended, ErrorInfo, ProcessId, Transition};
use crate::runner::RunError;

/// Observes processes.
///
/// A listener is told after the commit, at most once, on the task of the process: it must not block. A panic in it is
/// logged and ignored (S41). Of a transition it hears [`on_transition`](Self::on_transition) first, and then the method
/// of the state that was entered (S40).
pub trait Listener: Send + Sync + 'static {
    /// A process entered a state; `point` is the step that ended or is about to run.
    fn on_transition(&self, transition: Transition<'_>, point: &str) {
        let _ = (transition, point);
    }

    /// A process was created.
    fn on_created(&self, pid: &ProcessId) {
        let _ = pid;
    }

    /// A process entered running: a step is about to run.
    fn on_running(&self, pid: &ProcessId) {
        let _ = pid;
    }

    /// A process entered waiting.
    fn on_waiting(&self, pid: &ProcessId) {
        let _ = pid;
    }

    /// A process finished, normally or with an exit code.
    fn on_finished(&self, pid: &ProcessId, ended: &Ended, outputs: &Map<String, Value>) {
        let _ = (pid, ended, outputs);
    }

    /// A process ended by an error.
    fn on_excepted(&self, pid: &ProcessId, error: &ErrorInfo) {
        let _ = (pid, error);
    }

    /// A process was killed.
    fn on_killed(&self, pid: &ProcessId, text: &str) {
        let _ = (pid, text);
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

/// A listener that is stored with the process it observes, as it was when it was added.
///
/// Its type is made known by [`RuntimeBuilder::register_listener`](crate::RuntimeBuilder::register_listener). It is added
/// at a launch ([`Launching::listener`](crate::Launching::listener)) or in a step
/// ([`Cx::add_listener`](crate::Cx::add_listener)); adding an equal one again changes nothing.
///
/// ```
/// # use procession_runtime::listener::{Listener, SavedListener};
/// # use procession_runtime::ProcessId;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Mail { to: String }
///
/// impl Listener for Mail {
///     fn on_created(&self, pid: &ProcessId) { println!("{}: {pid} exists", self.to); }
/// }
///
/// impl SavedListener for Mail {
///     const NAME: &'static str = "my_crate::Mail";
/// }
/// ```
pub trait SavedListener: Listener + Serialize + DeserializeOwned {
    /// The name under which it is stored. Renaming the type need not change it.
    const NAME: &'static str;
}

/// Names a listener of a runtime, to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(crate) u64);

/// A listener of one process, with what is stored of it.
#[derive(Clone)]
pub(crate) struct Attached {
    name: &'static str,
    state: Value,
    pub(crate) listener: Arc<dyn Listener>,
}

impl Attached {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.name == other.name && self.state == other.state
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What a step changes in the listeners of its process.
#[derive(Debug)]
pub(crate) enum Change {
    Add(Attached),
    Remove(&'static str),
}

type Decode = fn(Value) -> Result<Arc<dyn Listener>, serde_json::Error>;

/// The types of saved listeners that a runtime knows.
#[derive(Default)]
pub(crate) struct ListenerTypes(HashMap<&'static str, Decode>);

impl ListenerTypes {
    pub(crate) fn register<L: SavedListener>(&mut self) {
        self.0.insert(L::NAME, |state| Ok(Arc::new(L::deserialize(state)?)));
    }

    /// A listener with what will be stored of it.
    pub(crate) fn attach<L: SavedListener>(&self, listener: L) -> Result<Attached, RunError> {
        self.known(L::NAME)?;
        let refused = |message: String| RunError::UnwritableListener { name: L::NAME, message };
        let state = serde_json::to_value(&listener).map_err(|error| refused(error.to_string()))?;
        if crate::text::too_deep(&state) {
            return Err(refused(format!("nested {}", crate::text::TOO_DEEP)));
        }
        Ok(Attached { name: L::NAME, state, listener: Arc::new(listener) })
    }

    fn known(&self, name: &str) -> Result<(&'static str, Decode), RunError> {
        self.0.get_key_value(name).map(|(name, decode)| (*name, *decode)).ok_or_else(|| RunError::UnknownListener {
            name: name.to_owned(),
            near: crate::text::suggest(name, self.0.keys().copied()).map(str::to_owned),
        })
    }

    /// The listeners of a stored process.
    pub(crate) fn read(&self, text: &str) -> Result<Vec<Attached>, String> {
        #[derive(serde::Deserialize)]
        struct Row {
            name: String,
            state: Value,
        }
        let rows: Vec<Row> = serde_json::from_str(text).map_err(|error| format!("listeners: {error}"))?;
        let read = |Row { name, state }: Row| {
            let (name, decode) = self.known(&name).map_err(|error| error.to_string())?;
            let listener = decode(state.clone()).map_err(|error| format!("listener `{name}`: {error}"))?;
            Ok(Attached { name, state, listener })
        };
        rows.into_iter().map(read).collect()
    }
}

/// Listeners as they are stored.
pub(crate) fn text_of(listeners: &[Attached]) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        name: &'a str,
        state: &'a Value,
    }
    let rows: Vec<_> = listeners.iter().map(|attached| Row { name: attached.name, state: &attached.state }).collect();
    serde_json::to_string(&rows)
}
