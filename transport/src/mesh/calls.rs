//! Calls that wait for an answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::protocol::Fault;
use super::table::Known;

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Why {
    /// The other side says so.
    Fault(Fault),
    /// The peer was lost.
    Lost,
    /// This runtime was stopped.
    Stopped,
}

pub(super) type Answer = Result<Bytes, Why>;

struct Waiting {
    answer: oneshot::Sender<Answer>,
    /// Who is asked; nobody yet where the registry is asked to be let in.
    of: Option<Arc<Known>>,
}

/// Calls by their numbers.
pub(super) struct Calls {
    waiting: Mutex<HashMap<u64, Waiting>>,
    next: AtomicU64,
    limit: usize,
}

/// A call that is forgotten with this: then its answer is ignored (M17).
pub(super) struct Call<'a> {
    calls: &'a Calls,
    pub(super) id: u64,
    pub(super) answer: oneshot::Receiver<Answer>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.id);
    }
}

impl Calls {
    pub(super) fn new(limit: usize) -> Self {
        // They begin elsewhere each time, so that no answer is taken for one to a runtime that was here before.
        let [start, _] = halves();
        Self { waiting: Mutex::default(), next: AtomicU64::new(start), limit }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of `of`; `None` where there are too many.
    pub(super) fn begin(&self, of: Option<Arc<Known>>) -> Option<Call<'_>> {
        let mut waiting = self.lock();
        if waiting.len() >= self.limit {
            return None;
        }
        // 0 is no call.
        let id = self.next.fetch_add(1, Ordering::Relaxed).max(1);
        let (answers, answer) = oneshot::channel();
        waiting.insert(id, Waiting { answer: answers, of });
        drop(waiting);
        Some(Call { calls: self, id, answer })
    }

    /// Whether this is a call to be let in.
    pub(super) fn is_hand(&self, id: u64) -> bool {
        self.lock().get(&id).is_some_and(|waiting| waiting.of.is_none())
    }

    /// Ends a call that asked whoever is at `address`. What comes late, or from another, is ignored (M17).
    pub(super) fn end(&self, id: u64, address: &str, answer: Answer) {
        let mut waiting = self.lock();
        let asked = waiting.get(&id).map(|waiting| waiting.of.as_ref());
        if asked.is_some_and(|of| of.is_none_or(|known| *known.who.address == *address))
            && let Some(ended) = waiting.remove(&id)
        {
            drop(waiting);
            // Whoever waited may have gone.
            let _ = ended.answer.send(answer);
        }
    }

    /// Ends all calls of a peer that is lost.
    pub(super) fn lose(&self, known: &Arc<Known>) {
        let lost: Vec<_> =
            self.lock().extract_if(|_, waiting| waiting.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, known))).collect();
        for (_, waiting) in lost {
            let _ = waiting.answer.send(Err(Why::Lost));
        }
    }

    /// Ends all calls.
    pub(super) fn stop(&self) {
        let all = std::mem::take(&mut *self.lock());
        for waiting in all.into_values() {
            let _ = waiting.answer.send(Err(Why::Stopped));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

/// Two random numbers.
pub(super) fn halves() -> [u64; 2] {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    [high, low]
}
