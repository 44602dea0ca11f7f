//! A store for many machines: PostgreSQL.

mod asking;
mod batch;
mod bulk;
mod change;
mod committer;
mod error;
mod fence;
mod job;
mod known;
mod line;
mod look;
mod messages;
mod options;
mod outcome;
mod plain;
mod read;
mod same;
mod schema;
mod search;
mod server;
mod sharing;
mod standing;
mod transfer;
mod watching;
mod way;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use self::options::PostgresOptions;

use self::asking::Asked;
use self::bulk::Kept;
use self::change::{Change, Changed};
use self::committer::Committer;
use self::error::Fault;
use self::fence::{fence, holds, owns};
use self::job::{Done, Job, Work};
use self::known::Memory;
use self::line::Line;
use self::messages::SENT;
use self::read::{get, text_of};
use self::same::same;
use self::server::Server;
use self::sharing::HAND_OVER;
use super::bundle::check_all;
use super::snapshot::check_tag;
use super::{
    Bundle, Claimed, Commit, Committed, Creation, Ends, Epoch, Hint, HistoryEntry, Looks, Memo, Mended, NewProcess,
    OwedReply, Page, Placement, Record, Renewed, ReportLine, RequestId, RequestRow, Search, Snapshot, StandingPage,
    Store, StoreError, StoreErrorKind, StoreResult, Summaries, Unsent, Worker, WorkerRow,
};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Termination};

/// Keeps processes in a PostgreSQL database, from version 13 on.
///
/// # What is promised
/// A call that returned `Ok` is committed, and on the server's disk unless the server itself is set to lose it (`fsync`).
/// What is committed at the same time shares its transaction: one statement for boundaries that change nothing but
/// their own process, two for all others, and one commit.
///
/// # Who may do what
/// Anyone may open the store, read it and append requests, from any machine. Who [`acquire`](Store::acquire)s it writes,
/// and whoever owned it before is refused from then on. Workers that [`join`](Store::join) it write beside one another;
/// their leases, and the times that processes wait for, are those of the server's clock.
///
/// # What a failure leads to
/// While the server is away a call goes on trying, for [as long](PostgresOptions::with_patience) as it is told to. A
/// commit whose answer was lost with its connection is asked for, on another: it is never written twice, and told as it
/// is. Where that cannot be found out in time either, the error is [`Unreachable`](StoreErrorKind::Unreachable).
#[derive(Debug)]
pub struct PostgresStore {
    server: Arc<Server>,
    options: PostgresOptions,
    memory: Arc<Memory>,
    line: Arc<Line>,
    queue: mpsc::Sender<Job>,
    asking: mpsc::Sender<Asked>,
}

impl PostgresStore {
    /// Connects to the database at `postgres://user:password@host:port/database`, and makes the tables, or brings them up
    /// to date, where that is to be done. It does not own the store.
    ///
    /// With `?sslmode=require` the connection is encrypted and the server's certificate checked (feature
    /// `postgres-tls`): the system has to trust it, or the [options](PostgresOptions). Without, it is not encrypted.
    ///
    /// # Errors
    /// The address or the schema's name is none, the server is not reached or refuses, the tables are no store's, or were
    /// written by a newer version of this library; [`ReadOnly`](StoreErrorKind::ReadOnly) where the tables are to be
    /// made or changed and the role may not.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(url: &str, options: PostgresOptions) -> StoreResult<Self> {
        let server = Arc::new(Server::new(url, &options)?);
        schema::open(&server, &options).await?;
        let memory = Arc::new(Memory::default());
        let (queue, jobs) = mpsc::channel(limits::COMMIT_QUEUE);
        let (asking, asked) = mpsc::channel(limits::COMMIT_QUEUE);
        let committer = Committer {
            server: Arc::clone(&server),
            memory: Arc::clone(&memory),
            history: options.history,
            reports: options.reports,
        };
        tokio::spawn(committer::run(committer, jobs));
        tokio::spawn(asking::run(Arc::clone(&server), asked));
        let line = Arc::new(Line::new(Arc::clone(&server)));
        Ok(Self { server, options, memory, line, queue, asking })
    }

    /// How many writes were refused as [stale](StoreErrorKind::Stale) since it was opened: what a worker that had lost its
    /// lease, or a process, tried to write. For whoever watches over workers.
    pub fn refused(&self) -> u64 {
        self.server.refused()
    }

    async fn write(&self, work: Work) -> StoreResult<Done> {
        let (operation, pid) = (work.operation(), work.pid().clone());
        let (_, largest) = work.bytes();
        self.check_size(operation, &pid, largest)?;
        let (answer, answered) = oneshot::channel();
        let closed = || self.refusal(operation, &pid, StoreErrorKind::Closed);
        self.queue.send(Job { work, answer, lost: None }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    fn refusal(&self, operation: &'static str, pid: &ProcessId, kind: StoreErrorKind) -> StoreError {
        self.server.refusal(operation, pid, kind.into())
    }

    /// For a kind of answer that is not given to this work.
    fn other(&self, operation: &'static str) -> StoreError {
        self.server.error(operation, StoreErrorKind::Other.into())
    }

    fn check_size(&self, operation: &'static str, pid: &ProcessId, bytes: usize) -> StoreResult<()> {
        if bytes <= limits::POSTGRES_RECORD_BYTES {
            return Ok(());
        }
        let fault = format!("{bytes} bytes are more than {}", limits::POSTGRES_RECORD_BYTES);
        Err(self.refusal(operation, pid, StoreErrorKind::Limit).with_source(fault))
    }

    async fn change(
        &self,
        operation: &'static str,
        epoch: Epoch,
        pid: &ProcessId,
        change: Change<'_>,
    ) -> StoreResult<Changed> {
        self.server.change(operation, epoch, pid, change).await
    }

    async fn make(
        &self,
        operation: &'static str,
        epoch: Epoch,
        pid: &ProcessId,
        change: Change<'_>,
    ) -> StoreResult<bool> {
        match self.change(operation, epoch, pid, change).await? {
            Changed::Made(made) => Ok(made),
            _ => Err(self.other(operation)),
        }
    }

    async fn remove(
        &self,
        operation: &'static str,
        epoch: Epoch,
        pid: &ProcessId,
        change: Change<'_>,
    ) -> StoreResult<u64> {
        match self.change(operation, epoch, pid, change).await? {
            Changed::Removed(removed) => Ok(removed),
            _ => Err(self.other(operation)),
        }
    }

    /// A statement that begins with the fence, and gives whether the epoch holds.
    async fn fenced(&self, operation: &'static str, sql: &str, params: server::Params<'_>) -> StoreResult<()> {
        let row = self.server.row(operation, sql, params).await?;
        let holds = row.map(|row| get::<Option<bool>>(&row, 0)).transpose();
        if holds.map_err(|fault| self.server.error(operation, fault))?.flatten() == Some(true) {
            return Ok(());
        }
        self.server.count(StoreErrorKind::Stale);
        Err(self.server.error(operation, StoreErrorKind::Stale.into()))
    }
}

const PUT_MEMO: &str = concat!(
    fence!("ARRAY[$1]"),
    ", target AS MATERIALIZED (
        SELECT c.id, c.ended IS NOT NULL AS ended, c.owner FROM process AS p JOIN checkpoint AS c ON c.id = p.id
        WHERE ",
    same!("p.pid", "$2::bytea"),
    " FOR KEY SHARE OF c
    ), put AS (
        INSERT INTO memo (process, step, name, value) SELECT id, $3, $4, $5 FROM target WHERE NOT ended AND ",
    owns!("$1::bigint", "owner"),
    " ON CONFLICT (process, step, sha256(name)) DO UPDATE SET value = excluded.value
    ) SELECT ",
    holds!("$1::bigint"),
    " AND coalesce((SELECT ended OR ",
    owns!("$1::bigint", "owner"),
    " FROM target), true), (SELECT ended FROM target)"
);

const DISCARD: &str = concat!(
    fence!("ARRAY[$1]"),
    ", gone AS (
        DELETE FROM request AS r WHERE id = ANY ($2::bigint[]) AND ",
    holds!("$1::bigint"),
    " AND NOT EXISTS (
            SELECT FROM process AS p JOIN checkpoint AS c ON c.id = p.id
            WHERE ",
    same!("p.pid", "r.pid"),
    " AND c.ended IS NULL AND NOT ",
    owns!("$1::bigint", "c.owner"),
    ")
    ) SELECT ",
    holds!("$1::bigint")
);

const SETTLE: &str = concat!(
    fence!("ARRAY[$1]"),
    ", gone AS (
        DELETE FROM owed AS o USING unnest($2::bytea[], $3::bytea[]) AS j(pid, id), process AS p
        WHERE ",
    same!("p.pid", "j.pid"),
    " AND o.process = p.id AND sha256(o.id) = sha256(j.id) AND ",
    holds!("$1::bigint"),
    ") SELECT ",
    holds!("$1::bigint")
);

impl Store for PostgresStore {
    fn acquire(&self) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(async move {
            let epoch = self.server.acquire().await?;
            self.memory.clear();
            Ok(epoch)
        })
    }

    fn release(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            self.server.release(epoch).await?;
            self.line.forget(epoch);
            Ok(())
        })
    }

    fn create(&self, epoch: Epoch, process: NewProcess) -> BoxFuture<'_, StoreResult<Creation>> {
        Box::pin(async move {
            process.check()?;
            let owes = process.owes.clone();
            let Done::Created(creation) = self.write(Work::Create { epoch, process: Box::new(process) }).await? else {
                return Err(self.other("create"));
            };
            if let (Some(reply), Creation::Exists { pid, .. }) = (owes, &creation) {
                self.change("store an owed reply of", epoch, pid, Change::Owe { reply: &reply }).await?;
            }
            Ok(creation)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>> {
        Box::pin(async move {
            commit.check()?;
            match self.write(Work::Commit(Box::new(commit))).await? {
                Done::Committed(committed) => Ok(committed),
                Done::Created(_) => Err(self.other("commit")),
            }
        })
    }

    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.check_size("park", pid, reason.len())?;
            self.change("park", epoch, pid, Change::Park { reason: &reason }).await.map(drop)
        })
    }

    fn load<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        Box::pin(self.server.load(pid, &self.memory))
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ProcessId>>> {
        Box::pin(self.server.find(key))
    }

    fn termination<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Termination>>> {
        Box::pin(self.server.termination(pid))
    }

    fn ends(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Ends>> {
        Box::pin(self.server.ends(processes))
    }

    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(self.server.unfinished(after, most, &self.memory))
    }

    fn list(&self, states: Vec<ProcessState>, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(async move { self.server.list(&states, after, most, &self.memory).await })
    }

    fn search(&self, search: Search) -> BoxFuture<'_, StoreResult<Summaries>> {
        Box::pin(async move { self.server.search(&search).await })
    }

    fn children<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ProcessId>>> {
        Box::pin(self.server.children(pid))
    }

    fn history<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<HistoryEntry>>> {
        Box::pin(self.server.history(pid, self.options.history))
    }

    fn report<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ReportLine>>> {
        Box::pin(self.server.report(pid, self.options.reports))
    }

    fn memo<'a>(&'a self, pid: &'a ProcessId, step: u64, name: &'a str) -> BoxFuture<'a, StoreResult<Option<String>>> {
        Box::pin(self.server.memo(pid, step, name))
    }

    fn put_memo<'a>(
        &'a self,
        pid: &'a ProcessId,
        epoch: Epoch,
        step: u64,
        name: &'a str,
        value: String,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let operation = "store a memo of";
            self.check_size(operation, pid, name.len() + value.len())?;
            let (epoch, step) = (epoch.0.cast_signed(), step.cast_signed());
            let (name, value) = (name.as_bytes(), value.as_bytes());
            let row = self.server.row(operation, PUT_MEMO, &[&epoch, &text_of(pid), &step, &name, &value]).await?;
            let read = |row| -> Result<_, Fault> { Ok((get::<Option<bool>>(&row, 0)?, get::<Option<bool>>(&row, 1)?)) };
            let read = row.map(read).transpose().map_err(|fault| self.server.refusal(operation, pid, fault))?;
            match read {
                Some((Some(true), Some(false))) => Ok(()),
                Some((Some(true), Some(true))) => Err(self.refusal(operation, pid, StoreErrorKind::Ended)),
                Some((Some(true), None)) => Err(self.refusal(operation, pid, StoreErrorKind::NotFound)),
                _ => Err(self.refusal(operation, pid, StoreErrorKind::Stale)),
            }
        })
    }

    fn request<'a>(&'a self, pid: &'a ProcessId, request: Request) -> BoxFuture<'a, StoreResult<RequestId>> {
        Box::pin(async move {
            let operation = "store a request to";
            let request = serde_json::to_vec(&request)
                .map_err(|error| self.refusal(operation, pid, StoreErrorKind::Other).with_source(error))?;
            self.check_size(operation, pid, request.len())?;
            let (answer, answered) = oneshot::channel();
            let closed = || self.refusal(operation, pid, StoreErrorKind::Closed);
            let asked = Asked { pid: text_of(pid), request, answer };
            self.asking.send(asked).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        })
    }

    fn requests(&self, after: Option<RequestId>) -> BoxFuture<'_, StoreResult<Vec<RequestRow>>> {
        Box::pin(self.server.requests(after))
    }

    fn discard_requests(&self, epoch: Epoch, requests: Vec<RequestId>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let requests: Vec<i64> = requests.into_iter().map(|request| request.0).collect();
            self.fenced("discard requests in", DISCARD, &[&epoch.0.cast_signed(), &requests]).await
        })
    }

    fn owe<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reply: OwedReply) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            reply.check(pid)?;
            self.change("store an owed reply of", epoch, pid, Change::Owe { reply: &reply }).await.map(drop)
        })
    }

    fn owed(
        &self,
        after: Option<(ProcessId, String)>,
        most: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<(ProcessId, OwedReply)>>> {
        Box::pin(async move { self.server.owed(after.as_ref(), most).await })
    }

    fn settle(&self, epoch: Epoch, replies: Vec<(ProcessId, String)>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let pids: Vec<Vec<u8>> = replies.iter().map(|(pid, _)| text_of(pid)).collect();
            let ids: Vec<&[u8]> = replies.iter().map(|(_, id)| id.as_bytes()).collect();
            self.fenced("settle replies in", SETTLE, &[&epoch.0.cast_signed(), &pids, &ids]).await
        })
    }

    fn unsent(&self, epoch: Epoch, most: usize) -> BoxFuture<'_, StoreResult<Unsent>> {
        Box::pin(self.server.unsent(epoch, most))
    }

    fn sent(&self, epoch: Epoch, messages: Vec<Uuid>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let ids: Vec<&[u8]> = messages.iter().map(|id| id.as_bytes().as_slice()).collect();
            self.fenced("forget messages in", SENT, &[&epoch.0.cast_signed(), &ids]).await
        })
    }

    fn mend(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<Mended>> {
        Box::pin(self.server.mend(epoch))
    }

    fn memos<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Memo>>> {
        Box::pin(self.server.memos(pid))
    }

    fn placement<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Placement>> {
        Box::pin(self.server.placement(pid))
    }

    fn import(&self, epoch: Epoch, bundles: Vec<Bundle>) -> BoxFuture<'_, StoreResult<Creation>> {
        Box::pin(async move {
            check_all(&bundles)?;
            let kept = Kept { history: self.options.history, reports: self.options.reports };
            self.server.import(epoch, &bundles, kept).await
        })
    }

    fn save_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            check_tag(pid, tag)?;
            self.change("save a snapshot of", epoch, pid, Change::Save { tag, at }).await.map(drop)
        })
    }

    fn load_snapshot<'a>(&'a self, pid: &'a ProcessId, tag: &'a str) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        Box::pin(self.server.load_snapshot(pid, tag))
    }

    fn snapshots_of<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>> {
        Box::pin(self.server.snapshots_of(pid))
    }

    fn snapshots(&self, after: Option<(ProcessId, String)>, most: usize) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>> {
        Box::pin(async move { self.server.snapshots(after.as_ref(), most).await })
    }

    fn delete_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let change = Change::Remove { tag: Some(tag) };
            Ok(self.remove("delete a snapshot of", epoch, pid, change).await? > 0)
        })
    }

    fn delete_snapshots<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<u64>> {
        Box::pin(self.remove("delete the snapshots of", epoch, pid, Change::Remove { tag: None }))
    }

    fn restore<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Record>> {
        Box::pin(async move {
            let change = Change::Restore { tag, at, history: self.options.history };
            let restored = self.change("restore", epoch, pid, change).await;
            self.memory.forget(pid);
            match restored? {
                Changed::Restored(record) => Ok(*record),
                _ => Err(self.other("restore")),
            }
        })
    }

    fn join(&self, worker: Worker, lease: Duration) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(async move { self.server.join(&worker, lease).await })
    }

    fn renew(&self, epoch: Epoch, slots_used: u32) -> BoxFuture<'_, StoreResult<Renewed>> {
        Box::pin(self.line.renew(epoch, slots_used))
    }

    fn ask_to_drain(&self, worker: Epoch) -> BoxFuture<'_, StoreResult<bool>> {
        Box::pin(self.server.ask_to_drain(worker))
    }

    fn claim(&self, epoch: Epoch, most: usize, attempts: u32) -> BoxFuture<'_, StoreResult<Claimed>> {
        Box::pin(self.server.claim(epoch, most, attempts, &self.memory))
    }

    fn hand_over(&self, epoch: Epoch, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let pids: Vec<Vec<u8>> = processes.iter().map(text_of).collect();
            self.fenced("hand processes over in", HAND_OVER, &[&epoch.0.cast_signed(), &pids]).await
        })
    }

    fn fail<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        reason: String,
        attempts: u32,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            self.check_size("give up", pid, reason.len())?;
            self.make("give up", epoch, pid, Change::Fail { reason: &reason, attempts }).await
        })
    }

    fn unpark<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(self.make("unpark", epoch, pid, Change::Unpark))
    }

    fn standing(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<StandingPage>> {
        Box::pin(self.server.standing(after, most))
    }

    fn look(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Looks>> {
        Box::pin(self.server.look(processes))
    }

    fn hint(&self, epoch: Epoch, hints: Vec<Hint>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            const OPERATION: &str = "keep hints in";
            let columns = watching::columns(&hints);
            let (pids, steps, progress) =
                columns.map_err(|error| self.server.error(OPERATION, error::Fault::damaged(error)))?;
            self.fenced(OPERATION, watching::HINT, &[&epoch.0.cast_signed(), &pids, &steps, &progress]).await
        })
    }

    fn work(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.line.work(epoch))
    }

    fn workers(&self) -> BoxFuture<'_, StoreResult<Vec<WorkerRow>>> {
        Box::pin(self.server.workers())
    }

    fn delete<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let removed = self.remove("delete", epoch, pid, Change::Delete).await;
            self.memory.forget(pid);
            Ok(removed? > 0)
        })
    }
}
