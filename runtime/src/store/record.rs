//! What a store keeps of a process, and what one boundary changes.

use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;

use super::message::check_messages;
use super::{Message, Placement, StoreError, StoreErrorKind, StoreResult};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState, Progress, Request, Termination};

/// The version of the form in which checkpoints are stored.
pub const FORMAT: u32 = 1;

/// Counts the owners of a store; a write under an earlier one is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Names a request; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub i64);

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The version of the stored form, [`FORMAT`] when it was written.
    pub format: u32,
    /// The registered name of the process.
    pub process: String,
    /// The process's version when it was written.
    pub version: u32,
    /// A hash over the names of its ports, fields and program points when it was written.
    pub fingerprint: String,
}

/// A process as a store keeps it. Position, context, inputs, outputs, listeners and end are JSON texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The id.
    pub pid: ProcessId,
    /// What the checkpoint says about itself.
    pub envelope: Envelope,
    /// The key it was launched under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The process that launched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ProcessId>,
    /// Whether a kill of its parent reaches it, though the parent does not wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
    /// The state.
    pub state: ProcessState,
    /// Whether it is paused.
    #[serde(default)]
    pub paused: bool,
    /// The status text.
    #[serde(default)]
    pub status: StatusText,
    /// The program point, `{"at":"step",…}`.
    pub position: String,
    /// The saved fields, an object.
    pub context: String,
    /// The inputs, validated and with defaults, an object.
    pub inputs: Arc<str>,
    /// Which inputs were not given, but filled in: an array of dotted paths. None if all were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaulted: Option<String>,
    /// The outputs so far, an object.
    pub outputs: String,
    /// What it waits for.
    #[serde(default)]
    pub awaiting: Awaiting,
    /// The listeners that are saved with it: an array of `{"name":…,"state":…}`. None if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<String>,
    /// How many of the awaited children have not ended.
    #[serde(default)]
    pub open_children: u64,
    /// Committed steps.
    pub steps: u64,
    /// How it ended: an [`Ended`](crate::process::Ended).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Why it was put aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its last boundary was.
    pub updated_at: Timestamp,
}

impl Record {
    /// How it ended; none if it has not.
    ///
    /// # Errors
    /// Its end, or its outputs, cannot be read.
    pub fn termination(&self) -> Result<Option<Termination>, serde_json::Error> {
        let Some(ended) = &self.ended else { return Ok(None) };
        Ok(Some(Termination::new(serde_json::from_str(ended)?, serde_json::from_str(&self.outputs)?)))
    }
}

impl Record {
    /// The inputs as they were passed, without defaults (S16).
    ///
    /// # Errors
    /// The inputs, or the names of those that have their default, cannot be read.
    pub fn raw_inputs(&self) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
        let defaulted: Vec<String> = self.defaulted.as_deref().map_or(Ok(Vec::new()), serde_json::from_str)?;
        Ok(crate::spec::raw_inputs(&serde_json::from_str(&self.inputs)?, &defaulted))
    }
}

/// The status text, the one that a pause has covered (S54), and how far the process is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusText {
    /// The present text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The text to restore when the process is played; only while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before_pause: Option<Option<String>>,
    /// How far the process has said that it is. It stays until the process says something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// A field that is there: a covered text that was none is written as null, which is not the same as no field.
#[allow(clippy::option_option)] // As in the field: covered or not, and what was covered.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// What a waiting process waits for: all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaiting {
    /// Children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<AwaitedChild>,
    /// A time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// A resume from outside, with the text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// An item of one of these streams, by the names of the ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<String>,
}

impl Awaiting {
    /// Whether there is nothing to wait for.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && self.wake_at.is_none() && self.resume.is_none() && self.streams.is_empty()
    }

    /// Whether this child is waited for.
    pub(super) fn lists(&self, child: &ProcessId) -> bool {
        self.children.iter().any(|awaited| awaited.pid == *child)
    }
}

/// A child that its parent waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedChild {
    /// The id.
    pub pid: ProcessId,
    /// Whether its kill or exception does not end the parent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_failure: bool,
}

/// A process to be created, in state created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewProcess {
    /// The id.
    pub pid: ProcessId,
    /// The key it is launched under.
    pub key: Option<String>,
    /// The process that launches it.
    pub parent: Option<Parent>,
    /// What the checkpoint says about itself.
    pub envelope: Envelope,
    /// The program point.
    pub position: String,
    /// The saved fields.
    pub context: String,
    /// The inputs, validated and with defaults.
    pub inputs: Arc<str>,
    /// Which inputs were not given, but filled in: an array of dotted paths. Written once; none if all were given.
    pub defaulted: Option<String>,
    /// The listeners that are saved with it: an array of `{"name":…,"state":…}`. None if there are none.
    pub listeners: Option<String>,
    /// The reply that it owes at its end to whoever had it created. Not for a child, which its parent waits for.
    pub owes: Option<OwedReply>,
    /// The step that is about to run, if the process begins at once: it is created as running, and its history has that
    /// transition. None if it is to be begun by a commit.
    pub begun: Option<&'static str>,
    /// Where it belongs, on a store that workers share. A child belongs where its parent does.
    pub placement: Placement,
    /// What is sent when it is there.
    pub messages: Vec<Message>,
    /// When.
    pub at: Timestamp,
}

impl NewProcess {
    /// Refuses what is too large to be kept beside the process.
    pub(super) fn check(&self) -> StoreResult<()> {
        check_messages(&self.pid, &self.messages)?;
        self.owes.iter().try_for_each(|reply| reply.check(&self.pid))
    }

    /// The state in which it is created.
    pub fn state(&self) -> ProcessState {
        if self.begun.is_some() { ProcessState::Running } else { ProcessState::Created }
    }
}

/// A reply that a process owes at its end to someone elsewhere, who sent a task and waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedReply {
    /// What tells it from others that the process owes: the id of the task.
    pub id: String,
    /// Where it goes. The store does not look into it.
    pub address: String,
}

impl OwedReply {
    /// Refuses one that is too large.
    pub(super) fn check(&self, pid: &ProcessId) -> StoreResult<()> {
        if self.id.len().saturating_add(self.address.len()) <= limits::OWED_BYTES {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Limit, "store an owed reply of", format_args!("process `{pid}`")))
    }
}

/// The process that launches a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The id.
    pub pid: ProcessId,
    /// Whether the parent waits for the child.
    pub awaited: bool,
    /// Whether a kill of the parent reaches the child, though the parent does not wait for it.
    pub follows: bool,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The process is there now.
    Created,
    /// The key or the id was known.
    Exists {
        /// The process that has it.
        pid: ProcessId,
        /// Its registered name.
        process: String,
    },
}

/// What one step boundary changes. `None` leaves a column as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The process.
    pub pid: ProcessId,
    /// The epoch of the writer.
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The state before.
    pub from: ProcessState,
    /// The state after.
    pub to: ProcessState,
    /// Whether it is paused.
    pub paused: bool,
    /// Committed steps, this one included.
    pub steps: u64,
    /// The step that ended or that is about to run, for the history row; no row is written without it.
    pub transition: Option<&'static str>,
    /// What the checkpoint says about itself; changes when a newer version of the process writes.
    pub envelope: Option<Envelope>,
    /// The program point.
    pub position: Option<String>,
    /// The saved fields.
    pub context: Option<String>,
    /// The outputs.
    pub outputs: Option<String>,
    /// The status text.
    pub status: Option<StatusText>,
    /// What it waits for; an empty one if it does not wait any more.
    pub awaiting: Option<Awaiting>,
    /// The listeners that are saved with it; `[]` if there are none any more.
    pub listeners: Option<String>,
    /// How it ended. Only with a terminal state, and always with it.
    pub ended: Option<String>,
    /// Children to create; the awaited ones are open from now on.
    pub children: Vec<NewProcess>,
    /// Lines of the report.
    pub report: Vec<String>,
    /// Requests that this boundary applies.
    pub applied: Vec<RequestId>,
    /// Whether the memos of the process are forgotten.
    pub forget_memos: bool,
    /// What is sent when this is durable.
    pub messages: Vec<Message>,
}

impl Commit {
    /// A commit that changes nothing but the state.
    pub fn new(pid: ProcessId, epoch: Epoch, at: Timestamp, from: ProcessState, to: ProcessState) -> Self {
        Self {
            pid,
            epoch,
            at,
            from,
            to,
            paused: false,
            steps: 0,
            transition: None,
            envelope: None,
            position: None,
            context: None,
            outputs: None,
            status: None,
            awaiting: None,
            listeners: None,
            ended: None,
            children: Vec::new(),
            report: Vec::new(),
            applied: Vec::new(),
            forget_memos: false,
            messages: Vec::new(),
        }
    }

    /// Refuses what no runner may write: an end without a terminal state, or the reverse, a child that owes a reply, or
    /// messages that are too many or too large.
    pub(super) fn check(&self) -> StoreResult<()> {
        check_messages(&self.pid, &self.messages)?;
        self.children.iter().try_for_each(|child| check_messages(&child.pid, &child.messages))?;
        let fault = match (self.to.is_terminal(), self.ended.is_some()) {
            (false, true) => "an end without a terminal state",
            (true, false) => "a terminal state without an end",
            _ if self.children.iter().any(|child| child.owes.is_some()) => "a child that owes a reply",
            _ => return Ok(()),
        };
        let subject = format_args!("process `{}`", self.pid);
        Err(StoreError::new(StoreErrorKind::Other, "commit", subject).with_source(fault))
    }
}

/// Saved listeners as they are kept: none is no text.
pub(super) fn some_listeners(listeners: &str) -> Option<&str> {
    Some(listeners).filter(|listeners| *listeners != "[]")
}

/// What a commit led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The parent whose last open child has ended with this commit.
    pub ready_parent: Option<ProcessId>,
}

/// Some unfinished processes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The processes.
    pub records: Vec<Record>,
    /// Those whose row cannot be read, and why.
    pub unreadable: Vec<(ProcessId, String)>,
    /// Where the next page starts; none if this was the last.
    pub next: Option<u64>,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// The state before.
    pub from: ProcessState,
    /// The state after.
    pub to: ProcessState,
    /// Committed steps then.
    pub steps: u64,
    /// The step that ended or that was about to run.
    pub point: String,
}

impl HistoryEntry {
    /// The tag of the snapshot, if the process was brought back to one here.
    pub fn restored_from(&self) -> Option<&str> {
        self.point.strip_prefix(RESTORED_FROM)?.strip_suffix('`')
    }
}

/// With what the point of a transition begins that brought a process back to a snapshot.
pub(super) const RESTORED_FROM: &str = "restored from `";

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLine {
    /// When it was committed.
    pub at: Timestamp,
    /// The text.
    pub text: String,
}

/// A stored request.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRow {
    /// Its place in the order.
    pub id: RequestId,
    /// The process it is for.
    pub pid: ProcessId,
    /// What is asked, or why it cannot be read: one such row does not keep others from being delivered.
    pub request: Result<Request, String>,
}
