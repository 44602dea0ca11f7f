//! What boundaries send to those elsewhere, and what became of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{OwedReply, StoreError, StoreErrorKind, StoreResult};
use crate::limits;
use crate::process::ProcessId;

/// What a boundary sends to those elsewhere once it is durable. It is stored with the boundary, and sent at least once: who
/// receives it tells by its id whether it has come before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its own, of all messages.
    pub id: Uuid,
    /// What it says. The store does not look into it.
    pub body: String,
}

impl Message {
    /// Refuses one that is too large.
    fn check(&self, pid: &ProcessId) -> StoreResult<()> {
        if self.body.len() <= limits::MESSAGE_BYTES {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Limit, "store a message of", format_args!("process `{pid}`")))
    }
}

/// Refuses messages of one boundary of a process, or of its creation, that are too many or too large.
pub(super) fn check_messages(pid: &ProcessId, messages: &[Message]) -> StoreResult<()> {
    if messages.len() > limits::MESSAGES {
        let subject = format_args!("process `{pid}`");
        return Err(StoreError::new(StoreErrorKind::Limit, "store the messages of", subject));
    }
    messages.iter().try_for_each(|message| message.check(pid))
}

/// What is to be sent, and nobody sends any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Messages, and the processes that sent them, in the order in which they were written.
    pub messages: Vec<(ProcessId, Message)>,
    /// Replies that processes owe, or will at their end.
    pub replies: Vec<(ProcessId, OwedReply)>,
}

/// How much was put right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Children that parents waited for in vain.
    pub children: u64,
}
