//! What runtimes say to one another about the mesh itself, and how calls and their faults are written.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{MeshError, MeshResult, Uid};
use crate::{Content, Envelope, Kind, limits};

/// What the names of the mesh's own methods begin with.
pub(super) const OWN: &str = "mesh.";
/// Asks the registry to be let in; answered by a [`Shake`].
pub(super) const HAND: &str = "mesh.hand";
/// Says who one is, before anything else.
pub(super) const MEET: &str = "mesh.meet";
/// The registry says that someone has come.
pub(super) const CONNECT: &str = "mesh.connect";
/// The registry says that someone has gone.
pub(super) const DISCONNECT: &str = "mesh.disconnect";
/// Asks the registry to say so of someone.
pub(super) const DROP: &str = "mesh.drop";
/// Says that one goes.
pub(super) const BYE: &str = "mesh.bye";
/// Asks whether one is there; any answer is a beat.
pub(super) const HEART: &str = "mesh.heart";
/// The registry does not know who has sent something.
pub(super) const UNKNOWN: &str = "mesh.unknown";
/// The registry asks one to stop.
pub(super) const STOP: &str = "mesh.stop";

/// The headers that name an object.
pub(super) const KIND: &str = "type";
pub(super) const ID: &str = "object";

/// A runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) uid: Uid,
    /// Its mailbox, as others post to it.
    pub(super) address: Arc<str>,
    /// Another each time it starts.
    pub(super) incarnation: u64,
}

/// How the registry answers a hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shake {
    pub(super) registry: Who,
    /// All who are there, whoever asks included.
    pub(super) network: Vec<Who>,
    /// So many changes it has told before.
    pub(super) change: u64,
}

/// Someone has come or gone: the registry's change of this number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) who: Who,
    pub(super) number: u64,
    /// Where one has gone: that nobody has heard of it, not that it said so.
    #[serde(default)]
    pub(super) lost: bool,
}

/// Why a call failed, as it goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    UnknownMethod { nearest: Option<String> },
    UnknownObject { nearest: Option<String> },
    Arguments { reason: String },
    Failed { message: String },
    Busy,
    NotConnected,
    Refused { reason: String },
}

impl Fault {
    /// As an error of the one who called.
    pub(super) fn into_error(self, uid: &Uid, method: &str, object: Option<(&str, &str)>) -> MeshError {
        let (uid, method) = (uid.clone(), method.to_owned());
        let (kind, id) = object.map(|(kind, id)| (kind.to_owned(), id.to_owned())).unwrap_or_default();
        match self {
            Self::UnknownMethod { nearest } => MeshError::UnknownMethod { uid, method, nearest },
            Self::UnknownObject { nearest } => MeshError::UnknownObject { uid, kind, id, nearest },
            Self::Arguments { reason } => MeshError::Arguments { uid, method, reason },
            Self::Failed { message } => MeshError::Failed { uid, method, message },
            Self::Busy => MeshError::Busy { uid },
            Self::NotConnected => MeshError::NotConnected { uid },
            Self::Refused { reason } => MeshError::Refused { what: "a call", reason },
        }
    }
}

/// Writes something as JSON.
pub(super) fn write<T: Serialize + ?Sized>(what: &'static str, value: &T) -> MeshResult<Bytes> {
    match serde_json::to_vec(value) {
        Ok(bytes) => Ok(bytes.into()),
        Err(source) => Err(MeshError::Json { what, source: Arc::new(source) }),
    }
}

/// Reads what [`write`] wrote.
pub(super) fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> MeshResult<T> {
    serde_json::from_slice(bytes).map_err(|source| MeshError::Json { what, source: Arc::new(source) })
}

/// The envelope of something of the mesh itself.
pub(super) fn notice(subject: &'static str, sender: &Arc<str>, body: Bytes) -> Envelope {
    Envelope { subject: subject.into(), ..Envelope::new(Kind::Notice, Arc::clone(sender), Content::Json, body) }
}

/// No more of a text than goes back to a caller.
pub(super) fn clipped(mut text: String) -> String {
    if text.len() > limits::MESH_TEXT_BYTES {
        let end = (0..=limits::MESH_TEXT_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        text.truncate(end);
    }
    text
}

/// Reads bytes as everything a mesh reads; for fuzzing alone.
pub(super) fn read_all(bytes: &[u8]) {
    fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        if let Ok(value) = read::<T>("it", bytes)
            && let Ok(written) = write("it", &value)
        {
            assert_eq!(read::<T>("it", &written).ok().as_ref(), Some(&value), "what was read is read again");
        }
    }
    again::<Who>(bytes);
    again::<Shake>(bytes);
    again::<Change>(bytes);
    again::<Fault>(bytes);
}
