//! Replies that are waited for, by correlation id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::wire;
use crate::communicator::reply::Replier;
use crate::communicator::subscription::Room;
use crate::communicator::{CommunicatorError, CommunicatorResult, Reply};
use crate::message::ReplyBody;

#[derive(Default)]
pub(super) struct Replies(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    room: Room,
    closed: bool,
    replies: HashMap<String, Outstanding>,
}

struct Outstanding {
    /// Shared: who waits is told outside of the lock.
    replier: Arc<Replier>,
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
        waiting.room.for_reply(waiting.replies.len())?;
        waiting.replies.insert(correlation_id.to_owned(), Outstanding { replier: Arc::new(replier), sent: false });
        Ok(reply)
    }

    /// The request has arrived.
    pub(super) fn sent(&self, correlation_id: &str) {
        if let Some(outstanding) = self.lock().replies.get_mut(correlation_id) {
            outstanding.sent = true;
        }
    }

    fn remove(&self, correlation_id: &str) {
        let removed = self.lock().replies.remove(correlation_id);
        // Outside of the lock: who waits is told then.
        drop(removed);
    }

    /// A reply has come.
    pub(super) fn arrived(&self, correlation_id: &str, body: &[u8]) {
        let read = wire::decode(body).and_then(|node| ReplyBody::try_from(node).map_err(|error| error.to_string()));
        let replier = self.lock().replies.get(correlation_id).map(|outstanding| Arc::clone(&outstanding.replier));
        let Some(replier) = replier else {
            tracing::debug!(correlation_id, "a reply came that nobody waits for");
            return;
        };
        let last = match read {
            Ok(body) => replier.receive(body),
            Err(reason) => {
                replier.end(Err(CommunicatorError::Malformed { what: "read", reason }));
                true
            }
        };
        if last {
            self.remove(correlation_id);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake, Waker};

    /// Looks, when it is woken, whether the lock is free.
    struct Looks {
        replies: Arc<Replies>,
        free: AtomicU32,
    }

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            self.free.fetch_add(u32::from(self.replies.0.try_lock().is_ok()), Ordering::Relaxed);
        }
    }

    /// A waker is code of others, which may send the next request at once.
    #[test]
    fn nobody_is_woken_under_the_lock() {
        let replies: Arc<Replies> = Arc::default();
        let looks = Arc::new(Looks { replies: Arc::clone(&replies), free: AtomicU32::new(0) });
        let (waker, mut woken) = (Waker::from(Arc::clone(&looks)), 0);
        let ends: [fn(&Replies); 5] = [
            |replies| replies.arrived("one", b"pending: null"),
            |replies| replies.arrived("one", b"result: 1"),
            |replies| replies.arrived("one", b"{not: closed"),
            Replies::lost,
            Replies::close,
        ];
        for end in ends {
            let mut reply = pin!(replies.expect("one", Duration::from_secs(1)).expect("there is room"));
            replies.sent("one");
            assert!(reply.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            end(&replies);
            woken += 1;
            assert_eq!(looks.free.load(Ordering::Relaxed), woken);
        }
    }

    #[test]
    fn replies_that_are_waited_for_are_bounded() {
        let replies: Arc<Replies> = Arc::default();
        replies.lock().room.replies = 2;
        let expect = |id: &str| replies.expect(id, Duration::from_secs(1));
        let (first, _second) = (expect("first").expect("there is room"), expect("second").expect("there is room"));
        let refused = expect("third").expect_err("there is no room");
        assert!(matches!(refused, CommunicatorError::Limit(_)), "{refused:?}");
        // One that nobody awaits any more makes room for another.
        drop(first);
        expect("third").map(drop).expect("there is room again");
        assert_eq!(Room::default().replies, crate::limits::REPLIES);
    }
}
