//! Delivers requests from the store to processes, in the order of their rows.

use std::sync::Arc;

use super::RunError;
use super::elsewhere;
use super::entry::{Mail, Reply};
use super::handle::ended;
use super::restore::termination_of;
use super::shared::{Shared, Undelivered};
use crate::limits;
use crate::process::{ProcessId, Request};
use crate::store::{RequestRow, StoreErrorKind};

/// Delivers until the runtime closes: at once what is filed here, soon what other OS processes file.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let delivered = async {
            deliver(&shared).await?;
            elsewhere::look(&shared).await
        };
        if let Err(error) = delivered.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "requests cannot be delivered");
        }
        tokio::select! {
            () = shared.closed() => return shared.forget_replies(),
            () = shared.filed.notified() => {}
            () = tokio::time::sleep(limits::REQUEST_POLL) => {}
        }
    }
}

async fn deliver(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(store) = shared.store() else { return Ok(()) };
    // No process is brought from the store meanwhile: it would get what came before, and this again.
    let _adopting = shared.adoption.read().await;
    let rows = store.requests(shared.delivered()).await?;
    if rows.is_empty() {
        return Ok(());
    }
    // Whoever filed one of these rows has told who waits for the reply, once this lock is had.
    drop(shared.filing.write().await);
    for row in rows {
        let id = row.id;
        let mut reply = shared.take_reply(id);
        let asked = reply.as_ref().and_then(|_| Some((row.pid.clone(), row.request.clone().ok()?)));
        if let Err(error) = deliver_one(shared, row, &mut reply).await {
            // The row is delivered again, and who waits for its reply goes on waiting.
            if let (Some(reply), Some((pid, request))) = (reply, asked) {
                shared.expect_reply(id, &pid, request, reply);
            }
            return Err(error);
        }
        shared.set_delivered(id);
    }
    Ok(())
}

/// Delivers one row; the reply is taken when there is an answer.
async fn deliver_one(shared: &Arc<Shared>, row: RequestRow, reply: &mut Option<Reply>) -> Result<(), RunError> {
    let RequestRow { id, pid, request } = row;
    let request = match request {
        Ok(request) => request,
        Err(message) => {
            tracing::error!(%pid, message, "a request cannot be read");
            shared.discard(id).await?;
            answer(reply, Err(RunError::UnreadableRequest { pid, message }));
            return Ok(());
        }
    };
    let mut mail = Mail { id: Some(id), request, reply: reply.take() };
    if let Some(entry) = shared.entry(&pid) {
        mail = match shared.post(&entry, mail) {
            Ok(()) => return Ok(()),
            Err((mail, Undelivered::Busy)) => {
                *reply = mail.reply;
                shared.discard(id).await?;
                answer(reply, Err(RunError::Busy(pid)));
                return Ok(());
            }
            Err((mail, Undelivered::Gone)) => mail,
        };
    }
    *reply = mail.reply;
    let request = mail.request;
    let (found, over) = match answer_absent(shared, &pid, &request).await {
        // A row that cannot be read is the trouble of its own process: others wait for their requests.
        Err(RunError::Store(error)) if error.kind() == StoreErrorKind::Corrupt => (Err(error.into()), false),
        found => found?,
    };
    if over {
        shared.discard(id).await?;
    }
    if let (Err(RunError::Suspended(_)), Some(_)) = (&found, &shared.sharing) {
        // Another worker has it, or will have it.
        if let Some(reply) = reply.take() {
            shared.elsewhere.wait(id, pid, request, reply);
        }
        return Ok(());
    }
    answer(reply, found);
    Ok(())
}

fn answer(reply: &mut Option<Reply>, answer: Result<bool, RunError>) {
    if let Some(reply) = reply.take() {
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }
}

/// The answer for a process that is not here, and whether the request is over with it: one to a process that is
/// unfinished stays for when it comes back.
async fn answer_absent(
    shared: &Arc<Shared>,
    pid: &ProcessId,
    request: &Request,
) -> Result<(Result<bool, RunError>, bool), RunError> {
    let Some(store) = shared.store() else { return Ok((Err(RunError::NotFound(pid.clone())), true)) };
    let Some(record) = store.load(pid).await? else { return Ok((Err(RunError::NotFound(pid.clone())), true)) };
    if record.state.is_terminal() {
        let end = termination_of(&record);
        return Ok((end.and_then(|end| ended(pid, end.ended.state(), request)), true));
    }
    let answer = match record.parked {
        Some(reason) => RunError::Parked { pid: pid.clone(), reason },
        None => RunError::Suspended(pid.clone()),
    };
    Ok((Err(answer), false))
}
