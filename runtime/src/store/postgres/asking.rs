//! Requests: appended by one task, as many at once as are queued, so that their ids are in the order in which they become
//! visible.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::error::Fault;
use super::outcome::marks;
use super::read::get;
use super::same::same;
use super::server::{Patience, Server};
use crate::limits;
use crate::store::{RequestId, StoreResult};

/// The row is locked until the transaction ends: who asks at the same time, anywhere, waits for it.
const ORDER: &str =
    concat!("WITH ", marks!("$2", "$3"), " UPDATE request_order SET last = last + $1 RETURNING last - $1");

/// Tells the workers that have the processes, or all where nobody has them.
const ASK: &str = concat!(
    "WITH asked AS (
        INSERT INTO request (id, pid, request) SELECT $1 + place, pid, request
        FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS j(pid, request, place)
    ) SELECT pg_notify(current_schema(), h.owner::text) FROM (
        SELECT DISTINCT coalesce(w.epoch, 0) AS owner FROM unnest($2::bytea[]) AS j(pid)
        JOIN process AS p ON ",
    same!("p.pid", "j.pid"),
    " JOIN checkpoint AS c ON c.id = p.id AND c.ended IS NULL
        LEFT JOIN worker AS w ON w.epoch = c.owner AND clock_timestamp() < w.lapses_at
    ) AS h WHERE EXISTS (SELECT FROM worker)"
);

/// A request that is to be stored.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) pid: Vec<u8>,
    pub(super) request: Vec<u8>,
    pub(super) answer: oneshot::Sender<StoreResult<RequestId>>,
}

/// Stores requests until the store is dropped, and what is queued then.
pub(super) async fn run(server: Arc<Server>, mut queue: mpsc::Receiver<Asked>) {
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(asked) => Some(asked),
            None => queue.recv().await,
        }) else {
            return;
        };
        let mut bytes = first.request.len();
        let mut batch = vec![first];
        while batch.len() < limits::COMMIT_QUEUE
            && let Ok(asked) = queue.try_recv()
        {
            bytes = bytes.saturating_add(asked.request.len());
            if bytes > limits::POSTGRES_BATCH_BYTES {
                next = Some(asked);
                break;
            }
            batch.push(asked);
        }
        store(&server, batch).await;
    }
}

async fn store(server: &Server, batch: Vec<Asked>) {
    let mut patience = server.patience();
    let stored = loop {
        match attempt(server, &batch, &mut patience).await {
            Ok(before) => break Ok(before),
            Err(fault) => {
                if let Err(fault) = patience.with(fault).await {
                    break Err(server.error("store requests in", fault));
                }
            }
        }
    };
    for (place, asked) in (1..).zip(batch) {
        // Who does not wait for the answer any more does not need it.
        let _ = asked.answer.send(stored.clone().map(|before| RequestId(before + place)));
    }
}

/// Gives the id before the first.
async fn attempt(server: &Server, batch: &[Asked], patience: &mut Patience) -> Result<i64, Fault> {
    let session = server.session().await?;
    let (token, spent) = server.spent.take();
    let number = i64::try_from(batch.len()).unwrap_or(i64::MAX);
    let rows = server.timed(session.begin(ORDER, &[&number, &token, &spent])).await?;
    let row = rows.first().ok_or_else(|| Fault::damaged("no order of requests"))?;
    let before: i64 = get(row, 0)?;
    let pids: Vec<&[u8]> = batch.iter().map(|asked| &*asked.pid).collect();
    let requests: Vec<&[u8]> = batch.iter().map(|asked| &*asked.request).collect();
    match server.timed(session.finish(ASK, &[&before, &pids, &requests])).await {
        Ok(_) => {
            session.keep();
            server.spent.add(token);
        }
        Err(fault) if fault.lost => {
            drop(session);
            server.outcome(token, fault, patience).await?;
        }
        Err(fault) => return Err(fault),
    }
    Ok(before)
}
