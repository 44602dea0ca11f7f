//! Replies that are waited for, by correlation id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::wire;
use crate::communicator::reply::Replier;
use crate::communicator::{CommunicatorError, CommunicatorResult, Reply};
use crate::limits;
use crate::message::Node;

#[derive(Default)]
pub(super) struct Replies(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    closed: bool,
    replies: HashMap<String, Outstanding>,
}

struct Outstanding {
    replier: Replier,
    /// The request has arrived: if the connection is lost now, so is the reply.
    sent: bool,
}

impl Replies {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the replies under a correlation id.
    pub(super) fn expect(self: &Arc<Self>, correlation_id: &str, within: Duration) -> CommunicatorResult<Reply> {
        let (replier, reply) = Reply::new(within);
        let (replies, forgotten) = (Arc::downgrade(self), correlation_id.to_owned());
        replier.on_forgotten(move || {
            if let Some(replies) = replies.upgrade() {
                replies.remove(&forgotten);
            }
        });
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(CommunicatorError::Closed);
        }
        if waiting.replies.len() >= limits::OUTSTANDING {
            return Err(CommunicatorError::Limit("too many replies are waited for"));
        }
        waiting.replies.insert(correlation_id.to_owned(), Outstanding { replier, sent: false });
        Ok(reply)
    }

    /// The request has arrived.
    pub(super) fn sent(&self, correlation_id: &str) {
        if let Some(outstanding) = self.lock().replies.get_mut(correlation_id) {
            outstanding.sent = true;
        }
    }

    /// Dropped outside of the lock: who waits is told then.
    fn remove(&self, correlation_id: &str) -> Option<Outstanding> {
        self.lock().replies.remove(correlation_id)
    }

    /// A reply has come.
    pub(super) fn arrived(&self, correlation_id: &str, body: &[u8]) {
        let read = wire::decode(body).and_then(read);
        if matches!(read, Ok(Read::Pending)) {
            if let Some(outstanding) = self.lock().replies.get(correlation_id) {
                outstanding.replier.pending();
            }
            return;
        }
        let Some(outstanding) = self.remove(correlation_id) else {
            tracing::debug!(correlation_id, "a reply came that nobody waits for");
            return;
        };
        outstanding.replier.end(match read {
            Ok(Read::Final(outcome)) => outcome,
            Ok(Read::Pending) => return,
            Err(reason) => Err(CommunicatorError::Malformed { what: "read", reason }),
        });
    }

    /// The connection is lost: replies to what had arrived go to a queue that is gone.
    pub(super) fn lost(&self) {
        let lost: Vec<_> = self.lock().replies.extract_if(|_, outstanding| outstanding.sent).collect();
        for (_, outstanding) in lost {
            outstanding.replier.end(Err(CommunicatorError::Disconnected(None)));
        }
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        let ended = {
            let mut waiting = self.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.replies)
        };
        for outstanding in ended.into_values() {
            outstanding.replier.end(Err(CommunicatorError::Closed));
        }
    }
}

enum Read {
    Pending,
    Final(CommunicatorResult<Node>),
}

/// The first of `cancelled`, `exception`, `result`, `pending` that is there decides (wire.md rule 4).
fn read(node: Node) -> Result<Read, String> {
    let Node::Mapping(mut entries) = node else { return Err("a reply is a mapping".to_owned()) };
    let mut take = |name: &str| {
        let place = entries.iter().position(|(key, _)| key.as_text() == Some(name))?;
        Some(entries.swap_remove(place).1)
    };
    let text = |node: Node| match node {
        Node::Text(text) => text,
        node => node.to_string(),
    };
    if let Some(node) = take("cancelled") {
        let text = if node.is_null() { None } else { Some(text(node)) };
        return Ok(Read::Final(Err(CommunicatorError::Cancelled { text })));
    }
    if let Some(node) = take("exception") {
        return Ok(Read::Final(Err(CommunicatorError::Remote(text(node)))));
    }
    if let Some(node) = take("result") {
        return Ok(Read::Final(Ok(node)));
    }
    if take("pending").is_some() {
        return Ok(Read::Pending);
    }
    Err("a reply has one of `result`, `exception`, `pending`, `cancelled`".to_owned())
}
