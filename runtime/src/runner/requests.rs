//! Delivers requests from the store to processes, in the order of their rows.

use std::sync::Arc;

use super::RunError;
use super::entry::Mail;
use super::shared::Shared;
use crate::limits;
use crate::store::{RequestId, RequestRow};

/// Delivers until the runtime closes: at once what is filed here, soon what other OS processes file.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut delivered = None;
    loop {
        match deliver(&shared, delivered).await {
            Ok(last) => delivered = last,
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "requests cannot be read"),
        }
        tokio::select! {
            () = shared.closed() => return shared.forget_replies(),
            () = shared.filed.notified() => {}
            () = tokio::time::sleep(limits::REQUEST_POLL) => {}
        }
    }
}

async fn deliver(shared: &Arc<Shared>, after: Option<RequestId>) -> Result<Option<RequestId>, RunError> {
    let Some(store) = shared.store() else { return Ok(after) };
    let rows = store.requests(after).await?;
    let Some(last) = rows.last().map(|row| row.id) else { return Ok(after) };
    // Whoever filed one of these rows has told who waits for the reply, once this lock is had.
    drop(shared.filing.write().await);
    for RequestRow { id, pid, request } in rows {
        let reply = shared.take_reply(id);
        if let Some(entry) = shared.entry(&pid) {
            shared.post(&entry, Mail { id: Some(id), request, reply });
            continue;
        }
        let answer = answer_absent(shared, &pid, &request).await;
        store.discard_requests(shared.env.epoch, vec![id]).await?;
        Mail { id: Some(id), request, reply }.answer(answer);
    }
    Ok(Some(last))
}

/// The answer for a process that is not here: it has ended, is parked, or never was.
async fn answer_absent(
    shared: &Arc<Shared>,
    pid: &crate::ProcessId,
    request: &crate::process::Request,
) -> Result<bool, RunError> {
    let Some(store) = shared.store() else { return Err(RunError::NotFound(pid.clone())) };
    match store.termination(pid).await? {
        Some(end) => super::handle::ended(pid, &end, request),
        None => match store.load(pid).await? {
            Some(record) => {
                let reason = record.parked.unwrap_or_else(|| "it is not run here".to_owned());
                Err(RunError::Parked { pid: pid.clone(), reason })
            }
            None => Err(RunError::NotFound(pid.clone())),
        },
    }
}
