//! Requests to processes of other workers: what became of them is read from the store, where their owners write it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::RunError;
use super::entry::{Mail, Reply};
use super::handle::ended;
use super::shared::Shared;
use crate::limits;
use crate::process::{ProcessId, ProcessState, Request};
use crate::store::{Record, RequestId, Store};

/// Who waits here for what a worker elsewhere does.
#[derive(Default)]
pub(crate) struct Elsewhere(Mutex<BTreeMap<i64, Asked>>);

struct Asked {
    pid: ProcessId,
    request: Request,
    reply: Reply,
    since: Instant,
    /// When it was last looked whether the process was parked.
    looked: Instant,
}

impl Elsewhere {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the owner of the process.
    pub(crate) fn wait(&self, id: RequestId, pid: ProcessId, request: Request, reply: Reply) {
        let now = Instant::now();
        self.lock().insert(id.0, Asked { pid, request, reply, since: now, looked: now });
    }

    /// The process is here: it answers by itself.
    pub(crate) fn take(&self, id: RequestId) -> Option<Reply> {
        self.lock().remove(&id.0).map(|asked| asked.reply)
    }

    /// Nobody waits any more.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }
}

impl Shared {
    /// A process goes on elsewhere: who asked something of it waits for that, where the request is a row.
    pub(crate) fn pass_mail_on(&self, pid: &ProcessId, mail: Mail) {
        match mail {
            Mail { id: Some(id), request, reply: Some(reply) } if self.sharing.is_some() => {
                self.elsewhere.wait(id, pid.clone(), request, reply);
            }
            mail => mail.answer(Err(RunError::Suspended(pid.clone()))),
        }
    }
}

/// Answers those whose requests were dealt with, and those who have waited too long.
pub(super) async fn look(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(store) = shared.store() else { return Ok(()) };
    let Some(first) = shared.elsewhere.lock().keys().next().copied() else { return Ok(()) };
    let rows = store.requests(Some(RequestId(first - 1))).await?;
    let rows: HashSet<i64> = rows.into_iter().map(|row| row.id.0).collect();
    let now = Instant::now();
    let due: Vec<_> = {
        let mut waiting = shared.elsewhere.lock();
        let is_due = |id: &i64, asked: &Asked| {
            !rows.contains(id) || now - asked.looked >= limits::WORK || asked.reply.is_closed()
        };
        let due = waiting.iter_mut().filter(|(id, asked)| is_due(id, asked));
        due.map(|(id, asked)| {
            asked.looked = now;
            (*id, asked.pid.clone(), asked.request.clone())
        })
        .collect()
    };
    let mut failed = Ok(());
    for (id, pid, request) in due {
        // The trouble of one is not that of the others, and nobody waits for ever.
        let answer = look_at(&**store, &pid, &request, rows.contains(&id)).await.unwrap_or_else(|error| {
            failed = Err(error);
            None
        });
        let mut waiting = shared.elsewhere.lock();
        let late =
            waiting.get(&id).is_none_or(|asked| asked.reply.is_closed() || asked.since.elapsed() >= limits::RPC_REPLY);
        let answer = answer.or_else(|| late.then(|| Err(RunError::Unanswered(pid))));
        if let Some(answer) = answer
            && let Some(asked) = waiting.remove(&id)
        {
            // Whoever asked may have gone.
            let _ = asked.reply.send(answer);
        }
    }
    failed
}

/// The answer to a request, if there is one yet.
async fn look_at(
    store: &dyn Store,
    pid: &ProcessId,
    request: &Request,
    filed: bool,
) -> Result<Option<Result<bool, RunError>>, RunError> {
    let Some(record) = store.load(pid).await? else {
        return Ok(Some(Err(RunError::NotFound(pid.clone()))));
    };
    if filed {
        let parked = record.parked.map(|reason| Err(RunError::Parked { pid: pid.clone(), reason }));
        return Ok(parked);
    }
    Ok(Some(dealt_with(&record, request)))
}

/// What the state of a process says of a request that its owner has applied or refused.
fn dealt_with(record: &Record, request: &Request) -> Result<bool, RunError> {
    let (pid, state) = (&record.pid, record.state);
    match request {
        // Of one that has ended since, it is not known whether it was taken: a value that is not awaited is refused while it runs.
        Request::Resume { .. } if state == ProcessState::Waiting && record.awaiting.resume.is_some() => {
            Err(RunError::InvalidState { pid: pid.clone(), state, request: "resume" })
        }
        Request::Resume { .. } => Ok(true),
        Request::Fail { .. } if state == ProcessState::Excepted => Ok(true),
        request if state.is_terminal() => ended(pid, state, request),
        Request::Pause { .. } => Ok(record.paused),
        Request::Play | Request::Start => Ok(true),
        Request::Kill { .. } | Request::Fail { .. } => Ok(false),
    }
}
