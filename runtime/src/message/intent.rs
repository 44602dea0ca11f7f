//! What is asked of a process.

use std::fmt;

use super::{Broadcast, Node};
use crate::communicator::Refusal;

/// What is asked of a process by a call (wire.md 6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Intent {
    /// Go on.
    Play,
    /// Hold, with a status text.
    Pause(Option<String>),
    /// End, with a text.
    Kill {
        /// Why.
        message: Option<String>,
        /// Whether the step that runs is cut off.
        force: bool,
    },
    /// Tell how it stands.
    Status,
}

impl Intent {
    /// What a broadcast asks of every process; none if it asks nothing, or what is unknown here (wire.md 7).
    ///
    /// Its subject says what; its body is a mapping, or from senders before plumpy 0.24 the text or null. Whether a kill is
    /// forced is not looked at, as in plumpy.
    pub fn of_broadcast(broadcast: &Broadcast) -> Option<Self> {
        let body = &broadcast.body;
        let message = || if body.as_mapping().is_some() { message(body) } else { text(body) };
        match broadcast.subject.as_deref()? {
            "play" => Some(Self::Play),
            "pause" => Some(Self::Pause(message())),
            "kill" => Some(Self::Kill { message: message(), force: false }),
            _ => None,
        }
    }

    /// The broadcast that asks this of every process; none for a status, which has no answer there.
    pub fn to_broadcast(&self) -> Option<Broadcast> {
        let body = match self {
            Self::Play => Node::Null,
            Self::Pause(_) => self.into(),
            Self::Kill { message, .. } => (&Self::Kill { message: message.clone(), force: false }).into(),
            Self::Status => return None,
        };
        Some(Broadcast::new(body).subject(self.to_string()))
    }
}

impl From<&Intent> for Node {
    /// With all keys that plumpy sends since 0.24.
    fn from(intent: &Intent) -> Self {
        let message = match intent {
            Intent::Pause(message) | Intent::Kill { message, .. } => message.clone().into(),
            Intent::Play | Intent::Status => Self::Null,
        };
        let name = Self::text(intent.to_string());
        match intent {
            Intent::Kill { force, .. } => {
                Self::mapping([("force_kill", Self::Bool(*force)), ("intent", name), ("message", message)])
            }
            _ => Self::mapping([("intent", name), ("message", message)]),
        }
    }
}

impl TryFrom<&Node> for Intent {
    type Error = Refusal;

    /// Keys may be absent, as before plumpy 0.24; others than those known are ignored.
    ///
    /// # Errors
    /// There is no such intent, or none at all. The texts are those of Python.
    fn try_from(node: &Node) -> Result<Self, Refusal> {
        let intent = node.item("intent")?;
        match intent.as_text() {
            Some("play") => Ok(Self::Play),
            Some("pause") => Ok(Self::Pause(message(node))),
            Some("kill") => {
                let force = node.get("force_kill").is_some_and(Node::is_true);
                Ok(Self::Kill { message: message(node), force })
            }
            Some("status") => Ok(Self::Status),
            _ => Err(Refusal::Failed("Unknown intent".to_owned())),
        }
    }
}

fn message(body: &Node) -> Option<String> {
    body.get("message").and_then(text)
}

fn text(node: &Node) -> Option<String> {
    node.clone().into_text()
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Play => "play",
            Self::Pause(_) => "pause",
            Self::Kill { .. } => "kill",
            Self::Status => "status",
        })
    }
}
