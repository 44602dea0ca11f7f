//! What the replies of workers and processes are read as.

use serde_json::{Map, Value};

use super::ControlError;
use crate::clock::Timestamp;
use crate::message::Node;
use crate::process::{ProcessId, ProcessState};
use crate::spec::{PortReader, PortValues, Spec};

/// How a process elsewhere stands, as it tells itself.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct RemoteStatus {
    /// When it was created, if it says so.
    pub ctime: Option<Timestamp>,
    /// Whether it is paused.
    pub paused: bool,
    /// What the other side shows of it to people, such as `<WaitChain> (ProcessState.WAITING)`.
    pub process_string: String,
    /// The state; none if it is one that this program does not know.
    pub state: Option<ProcessState>,
    /// The state as it came, such as `ProcessState.WAITING`.
    pub state_text: String,
}

impl RemoteStatus {
    pub(super) fn read(node: &Node) -> Result<Self, ControlError> {
        if node.as_mapping().is_none() {
            return Err(unexpected("status", node));
        }
        let text = |key| node.get(key).map(text_of).unwrap_or_default();
        let state_text = text("state");
        Ok(Self {
            ctime: node.get("ctime").and_then(time_of),
            paused: node.get("paused").and_then(Node::as_bool).unwrap_or_default(),
            process_string: text("process_string"),
            state: state_of(&state_text),
            state_text,
        })
    }
}

fn text_of(node: &Node) -> String {
    node.as_text().map_or_else(|| node.to_string(), str::to_owned)
}

/// `ProcessState.WAITING` is the text of the member of an enum in Python, `waiting` its value.
pub(super) fn state_of(text: &str) -> Option<ProcessState> {
    let name = text.rsplit('.').next().unwrap_or(text);
    ProcessState::from_name(&name.trim().to_lowercase())
}

fn time_of(node: &Node) -> Option<Timestamp> {
    match node {
        #[allow(clippy::cast_possible_truncation)] // Saturates: a time beyond is none that anyone lived in.
        Node::Float(seconds) => seconds.is_finite().then(|| Timestamp::from_millis((seconds * 1_000.0) as i64)),
        Node::Integer(seconds) => i64::try_from(*seconds).ok()?.checked_mul(1_000).map(Timestamp::from_millis),
        _ => None,
    }
}

/// The error for a reply that is none to what was asked.
pub(super) fn unexpected(expected: &'static str, node: &Node) -> ControlError {
    const SHOWN: usize = 200;
    let text = node.to_string();
    let reply = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    ControlError::Reply { expected, reply }
}

pub(super) fn truth(node: &Node) -> Result<bool, ControlError> {
    node.as_bool().ok_or_else(|| unexpected("truth value", node))
}

pub(super) fn pid(node: Option<Node>) -> Result<ProcessId, ControlError> {
    let node = node.unwrap_or_default();
    node.as_pid().ok_or_else(|| unexpected("process id", &node))
}

pub(super) fn outputs(node: Option<Node>) -> Result<Map<String, Value>, ControlError> {
    let node = node.unwrap_or_default();
    if node.as_mapping().is_none() {
        return Err(unexpected("mapping of outputs", &node));
    }
    match Value::from(node) {
        Value::Object(outputs) => Ok(outputs),
        other => Err(unexpected("mapping of outputs", &other.into())),
    }
}

pub(super) fn outputs_of<P: Spec>(node: Option<Node>) -> Result<P::Outputs, ControlError> {
    P::Outputs::read(&mut PortReader::new(outputs(node)?)).map_err(ControlError::Outputs)
}

#[allow(clippy::unnecessary_wraps)] // One of several that read a reply.
pub(super) fn nothing(_: Option<Node>) -> Result<(), ControlError> {
    Ok(())
}
