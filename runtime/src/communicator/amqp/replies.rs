//! Replies that are waited for, by correlation id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::wire;
use crate::communicator::reply::Replier;
use crate::communicator::{CommunicatorError, CommunicatorResult, Reply};
use crate::limits;
use crate::message::ReplyBody;

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
        let (waiting, forgotten) = (Arc::downgrade(self), correlation_id.to_owned());
        replier.on_forgotten(move || {
            if let Some(waiting) = waiting.upgrade() {
                waiting.remove(&forgotten);
            }
        });
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(CommunicatorError::Closed);
        }
        if waiting.replies.len() >= limits::REPLIES {
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
        let read = wire::decode(body).and_then(|node| ReplyBody::try_from(node).map_err(|error| error.to_string()));
        let ended = {
            let mut waiting = self.lock();
            let Some(outstanding) = waiting.replies.get(correlation_id) else {
                tracing::debug!(correlation_id, "a reply came that nobody waits for");
                return;
            };
            let last = match read {
                Ok(body) => outstanding.replier.receive(body),
                Err(reason) => {
                    outstanding.replier.end(Err(CommunicatorError::Malformed { what: "read", reason }));
                    true
                }
            };
            if last { waiting.replies.remove(correlation_id) } else { None }
        };
        // Dropped outside of the lock, as everything that others see.
        drop(ended);
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
