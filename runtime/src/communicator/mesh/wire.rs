//! What communicators say to one another. Values travel as texts, as messages have them.

use procession_transport::TransportErrorKind;
use procession_transport::mesh::{MeshError, MeshErrorKind, Uid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use crate::communicator::{CommunicatorError, CommunicatorResult};
use crate::message::{self, Broadcast, Node, ReplyBody};

/// Of what kind the objects are that answer.
pub(super) const KIND: &str = "communicator";

/// One says who it is, and hears who the other is: no one if it is closed.
pub(super) const HELLO: &str = "hello";
/// One says that it goes.
pub(super) const GOODBYE: &str = "goodbye";
/// Whether an identifier is there.
pub(super) const HAS: &str = "has";
/// A call.
pub(super) const CALL: &str = "call";
/// An answer, or that it follows.
pub(super) const ANSWER: &str = "answer";
/// Broadcasts, in their order.
pub(super) const BROADCASTS: &str = "broadcasts";

/// A call on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    /// The communicator that calls.
    pub(super) from: Uuid,
    /// What it knows the call by.
    pub(super) number: u64,
    pub(super) recipient: String,
    pub(super) body: Arc<str>,
}

/// What became of a call where it arrived.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Taken {
    /// It is being answered.
    Arrived,
    /// Nobody has the identifier.
    #[default]
    Nobody,
    /// Too many are being answered.
    Busy,
    /// It cannot be read.
    Malformed(String),
}

/// How far an answer is. Those of one call may overtake one another, so each says all that was before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The communicator that called.
    pub(super) to: Uuid,
    pub(super) number: u64,
    /// How often it was said that the answer follows.
    pub(super) levels: u32,
    /// The end, if it is there.
    pub(super) end: Option<End<Arc<str>>>,
}

/// How a call ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum End<B> {
    /// With an answer.
    Answer(B),
    /// Its subscriber was removed before it was given the call.
    Nobody(String),
}

/// A broadcast on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) id: Option<String>,
    pub(super) body: Arc<str>,
}

/// The text of a value.
pub(super) fn encode(node: &Node) -> CommunicatorResult<Arc<str>> {
    let written = String::from_utf8(message::encode(node)?);
    let text = written.map_err(|error| malformed("written", error.utf8_error()))?;
    Ok(text.into())
}

/// The value of a text.
pub(super) fn decode(text: &str) -> CommunicatorResult<Node> {
    message::decode(text.as_bytes()).map_err(|error| malformed("read", error))
}

pub(super) fn malformed(what: &'static str, error: impl std::fmt::Display) -> CommunicatorError {
    CommunicatorError::Malformed { what, reason: error.to_string() }
}

impl Told {
    pub(super) fn write(broadcast: &Broadcast) -> CommunicatorResult<Self> {
        let body = encode(&Node::from(Broadcast { id: None, ..broadcast.clone() }))?;
        Ok(Self { id: broadcast.id.clone(), body })
    }

    pub(super) fn read(self) -> CommunicatorResult<Broadcast> {
        let broadcast = Broadcast::try_from(decode(&self.body)?).map_err(|error| malformed("read", error))?;
        Ok(Broadcast { id: self.id, ..broadcast })
    }
}

impl End<ReplyBody> {
    /// As it travels; an answer that cannot is told as such.
    pub(super) fn write(self) -> CommunicatorResult<End<Arc<str>>> {
        Ok(match self {
            Self::Answer(body) => {
                let written = encode(&Node::from(body));
                let refused = |error: CommunicatorError| encode(&Node::from(ReplyBody::Exception(error.to_string())));
                End::Answer(written.or_else(refused)?)
            }
            Self::Nobody(recipient) => End::Nobody(recipient),
        })
    }
}

impl End<Arc<str>> {
    pub(super) fn read(self) -> CommunicatorResult<End<ReplyBody>> {
        Ok(match self {
            Self::Answer(text) => {
                End::Answer(ReplyBody::try_from(decode(&text)?).map_err(|error| malformed("read", error))?)
            }
            Self::Nobody(recipient) => End::Nobody(recipient),
        })
    }
}

/// Whether a runtime, or the communicator on it, is not there: what was asked of it was not done.
pub(super) fn is_away(error: &MeshError) -> bool {
    matches!(error, MeshError::NotConnected { .. } | MeshError::UnknownPeer { .. } | MeshError::UnknownObject { .. })
}

/// What an error of the mesh is to those who send.
pub(super) fn failed(error: MeshError, within: Duration) -> CommunicatorError {
    match error.kind() {
        MeshErrorKind::Stopped => CommunicatorError::Closed,
        MeshErrorKind::Deadline => CommunicatorError::Timeout { what: "sending", within },
        MeshErrorKind::Busy => CommunicatorError::Limit("a runtime of the mesh has too much to do"),
        MeshErrorKind::Transport(TransportErrorKind::Invalid) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            CommunicatorError::Refused { reason: source.unwrap_or_else(|| error.to_string()) }
        }
        MeshErrorKind::Disconnected => CommunicatorError::Disconnected(Some(Arc::new(error))),
        _ if error.is_retryable() || is_away(&error) => CommunicatorError::Disconnected(Some(Arc::new(error))),
        _ => CommunicatorError::Mesh { action: "carrying a message", source: Arc::new(error) },
    }
}

/// What is waited for is lost with a runtime.
pub(super) fn lost(uid: &Uid) -> CommunicatorError {
    CommunicatorError::Disconnected(Some(Arc::new(MeshError::Lost { uid: uid.clone() })))
}
