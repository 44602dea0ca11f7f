//! What happens to the peers of a runtime.

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Uid;

/// Something happened to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeshEvent {
    /// It can be called.
    Joined {
        /// Its uid.
        uid: Uid,
    },
    /// It said that it goes, or was disconnected on purpose.
    Left {
        /// Its uid.
        uid: Uid,
    },
    /// It is not heard any more.
    Lost {
        /// Its uid.
        uid: Uid,
        /// How that is known.
        why: String,
    },
    /// So many events were missed, as they were not received in time.
    Missed(u64),
}

/// The events of a runtime, from when this was made.
#[derive(Debug)]
pub struct MeshEvents(pub(super) Receiver<MeshEvent>);

impl MeshEvents {
    /// The next event; `None` when the mesh is gone. When it is cancelled, nothing was received.
    pub async fn recv(&mut self) -> Option<MeshEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(MeshEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
