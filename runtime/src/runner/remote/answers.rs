//! What the processes of a runtime answer to calls and do on broadcasts (wire.md 6 and 7).

use std::sync::{Arc, Weak};
use tokio::task::JoinSet;

use super::outbox::Last;
use crate::clock::Timestamp;
use crate::communicator::{Answer, Answered, BroadcastSubscriber, IncomingRpc, Refusal, RpcSubscriber};
use crate::limits;
use crate::message::{Broadcast, Intent, Node};
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Slot};
use crate::runner::RunError;
use crate::runner::entry::{Entry, Mail};
use crate::runner::handle::{AnyHandle, ended};
use crate::runner::shared::Shared;

/// Answers the calls to all processes of a runtime.
///
/// A status is read here, on the communicator's thread: it needs none that a step may block.
pub(super) struct Answers(pub(super) Weak<Shared>);

impl RpcSubscriber for Answers {
    fn receive(&self, call: IncomingRpc) -> BoxFuture<'static, Answered> {
        let shared = self.0.upgrade();
        Box::pin(async move {
            let shared = shared.ok_or_else(|| Refusal::failed(RunError::Closed))?;
            let pid = ProcessId::from(call.recipient);
            match request_of(Intent::try_from(&call.body)?) {
                Some(request) => Ok(later(shared, pid, request)),
                None => status(&shared, &pid).await.map(Answer::Value),
            }
        })
    }
}

/// What an intent asks of a process; nothing if it only wants to know.
fn request_of(intent: Intent) -> Option<Request> {
    Some(match intent {
        Intent::Play => Request::Play,
        Intent::Pause(text) => Request::Pause { text: text.filter(|text| !text.is_empty()) },
        Intent::Kill { message, force } => Request::Kill { text: message.unwrap_or_default(), force },
        Intent::Status => return None,
    })
}

/// One level of reply that follows: what becomes of a request.
fn later(shared: Arc<Shared>, pid: ProcessId, request: Request) -> Answer {
    Answer::Later(Box::pin(async move {
        let answer = ask(&shared, &pid, request).await.map_err(|error| refusal(&error))?;
        // A transition that the request led to is heard of before its reply.
        if let Some(remote) = &shared.remote {
            remote.told().await;
        }
        Ok(Answer::from(answer))
    }))
}

async fn ask(shared: &Arc<Shared>, pid: &ProcessId, request: Request) -> Result<bool, RunError> {
    if let Some(entry) = shared.entry(pid) {
        let handle = AnyHandle::new(Arc::clone(shared), Arc::clone(&entry.slot), entry.process.name());
        drop(entry);
        return handle.request(request).await;
    }
    match absent(shared, pid).await? {
        Absent { paused: None, last } => ended(pid, last.state, &request),
        // It is a row, which its worker finds.
        Absent { last, .. } => {
            AnyHandle::new(Arc::clone(shared), Slot::new(pid.clone()), last.process).request(request).await
        }
    }
}

/// The text of an error, with those of its causes.
fn refusal(error: &RunError) -> Refusal {
    Refusal::failed(crate::text::chain(error))
}

/// A process that is not here.
struct Absent {
    last: Last,
    /// Whether it is paused, where it has not ended: another worker has it, or will have it.
    paused: Option<bool>,
}

async fn absent(shared: &Shared, pid: &ProcessId) -> Result<Absent, RunError> {
    if let Some(last) = shared.remote.as_ref().and_then(|remote| remote.outbox.last_of(pid)) {
        return Ok(Absent { last, paused: None });
    }
    let not_found = || RunError::NotFound(pid.clone());
    let record = shared.store().ok_or_else(not_found)?.load(pid).await?.ok_or_else(not_found)?;
    let is_open = !record.state.is_terminal();
    match record.parked {
        Some(reason) if is_open => return Err(RunError::Parked { pid: pid.clone(), reason }),
        None if is_open && shared.sharing.is_none() => return Err(RunError::Suspended(pid.clone())),
        _ => {}
    }
    let process = shared.env.registry.named(&record.envelope.process)?.name();
    let last = Last { process, state: record.state, created_at: record.created_at };
    Ok(Absent { last, paused: is_open.then_some(record.paused) })
}

async fn status(shared: &Shared, pid: &ProcessId) -> Result<Node, Refusal> {
    if let Some(entry) = shared.entry(pid) {
        let Entry { process, created_at, .. } = &*entry;
        let (state, paused) = {
            let inner = entry.lock();
            (inner.view.state, inner.view.paused)
        };
        return Ok(status_of(process.name(), state, paused, *created_at));
    }
    let Absent { last, paused } = absent(shared, pid).await.map_err(|error| refusal(&error))?;
    let Last { process, state, created_at } = last;
    Ok(status_of(process, state, paused.unwrap_or_default(), created_at))
}

/// A status as plumpy gives it: these four keys, the state as Python shows its enum.
fn status_of(process: &str, state: ProcessState, paused: bool, created_at: Timestamp) -> Node {
    let state = format!("ProcessState.{}", state.as_str().to_uppercase());
    let class = process.rsplit([':', '.']).next().unwrap_or(process);
    // Milliseconds of a date have fewer than 53 bits.
    #[allow(clippy::cast_precision_loss)]
    let ctime = created_at.as_millis() as f64 / 1_000.0;
    Node::mapping([
        ("ctime", Node::Float(ctime)),
        ("paused", paused.into()),
        ("process_string", format!("<{class}> ({state})").into()),
        ("state", state.into()),
    ])
}

/// Does what a broadcast asks of all processes of a runtime.
///
/// A forced kill is not among it: as in plumpy, `force_kill` in a broadcast is ignored. It reaches processes that its
/// sender does not know, and what their steps were doing would be lost.
pub(super) struct Orders(pub(super) Weak<Shared>);

impl BroadcastSubscriber for Orders {
    fn receive(&self, broadcast: Arc<Broadcast>) -> BoxFuture<'static, ()> {
        let shared = self.0.upgrade();
        Box::pin(async move {
            let request = Intent::of_broadcast(&broadcast).and_then(request_of);
            let (Some(shared), Some(request)) = (shared, request) else { return };
            // Only filed here, so that the next order is not before this one; it takes effect when steps end.
            let mut filing = JoinSet::new();
            for entry in shared.entries() {
                if filing.len() >= limits::FILING {
                    filing.join_next().await;
                }
                filing.spawn(file(Arc::clone(&shared), entry, request.clone()));
            }
            while filing.join_next().await.is_some() {}
            shared.filed.notify_one();
        })
    }
}

async fn file(shared: Arc<Shared>, entry: Arc<Entry>, request: Request) {
    if shared.is_closing() {
        return;
    }
    match shared.store() {
        Some(store) => {
            if let Err(error) = store.request(entry.pid(), request).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(pid = %entry.pid(), error, "a request to all processes was not stored");
            }
        }
        None => {
            if shared.post(&entry, Mail { id: None, request, reply: None }).is_err() {
                tracing::debug!(pid = %entry.pid(), "a request to all processes found none here");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_four_keys_of_plumpy() {
        let status =
            status_of("procession_examples:WaitChain", ProcessState::Waiting, false, Timestamp::from_millis(1_500));
        let expected = Node::mapping([
            ("ctime", Node::Float(1.5)),
            ("paused", false.into()),
            ("process_string", "<WaitChain> (ProcessState.WAITING)".into()),
            ("state", "ProcessState.WAITING".into()),
        ]);
        assert_eq!(status, expected);
    }
}
