//! A store in one file: SQLite inside, one writer, any number of readers.

mod claim;
mod error;
mod fence;
mod hot;
mod ledger;
mod lock;
mod look;
mod messages;
mod queue;
mod read;
mod retain;
mod schema;
mod search;
mod sharing;
mod snapshots;
mod standing;
mod transfer;
mod work;
mod writer;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use procession_transport::{SqliteTransport, SqliteTransportOptions, Transport, TransportError};
use uuid::Uuid;

use self::error::of_process;
use self::queue::{Done, Queue, Work};
use self::read::Readers;
use self::work::Bell;
use super::bundle::check_all;
use super::snapshot::check_tag;
use super::{
    Bundle, Claimed, Commit, Committed, Creation, Ends, Epoch, Hint, HistoryEntry, Looks, Memo, Mended, NewProcess,
    OwedReply, Page, Placement, Record, Renewed, ReportLine, RequestId, RequestRow, Search, Snapshot, StandingPage,
    Store, StoreError, StoreErrorKind, StoreResult, Summaries, Unsent, Worker, WorkerRow,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::limits;
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Termination};

/// When a commit is on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// When the call returns.
    #[default]
    Full,
    /// Some time later, in order: a power failure may undo the last commits, an end of the OS process undoes none.
    Normal,
}

/// How a SQLite store is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    durability: Durability,
    history: u64,
    reports: u64,
    read_only: bool,
    busy: Duration,
    size_max: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            history: limits::HISTORY,
            reports: limits::REPORTS,
            read_only: false,
            busy: limits::BUSY,
            size_max: None,
        }
    }
}

impl SqliteOptions {
    /// Full durability, and the retention of [`limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// When a commit is on the disk.
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// How many transitions of each process are kept.
    pub fn with_history(self, history: u64) -> Self {
        Self { history, ..self }
    }

    /// How many lines of report of each process are kept.
    pub fn with_reports(self, reports: u64) -> Self {
        Self { reports, ..self }
    }

    /// Only reads: what would write is refused as [read-only](StoreErrorKind::ReadOnly).
    pub fn with_read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// How long another OS process that writes is waited for before a call fails as [busy](StoreErrorKind::Busy).
    pub fn with_busy_timeout(self, busy: Duration) -> Self {
        Self { busy, ..self }
    }

    /// The size in bytes beyond which the file does not grow; what does not fit fails as [full](StoreErrorKind::Full).
    pub fn with_size_max(self, size_max: u64) -> Self {
        Self { size_max: Some(size_max), ..self }
    }
}

/// Keeps processes in a SQLite file: one writer, any number of readers. What is on its way in their streams is kept in another,
/// `<file>-channels`, which a runtime makes where it has processes with streams.
///
/// # What is promised
/// A call that returned `Ok` is on the disk ([`Durability::Full`], the default) or will be there shortly
/// ([`Durability::Normal`]). Either survives the end of the OS process; only the first survives a power failure.
///
/// # Who may do what
/// Anyone may open the file, read it and append requests, from any OS process. One [`acquire`](Store::acquire)s it and
/// writes: the lock on `<file>.lock` is the operating system's, so it is free when its holder is gone, however that
/// went. Should two owners ever come to be (the lock file was removed), the epoch in the file refuses the earlier one.
///
/// Or workers [`join`](Store::join) and share it, from several OS processes of one machine: each process has one owner, and
/// is claimed by others when the lease of that one has lapsed, by the machine's clock. The file must not be on a network
/// file system, where neither locks nor shared memory hold. Only one OS process writes at a time: one that is stopped while
/// it does holds up the others, who fail as [busy](StoreErrorKind::Busy) after a while.
///
/// # What a failure leads to
/// Where the disk is full or another is busy, a call is refused and later ones may succeed. After damage, a failed
/// flush or a panic of the writer, the store is [closed](StoreErrorKind::Closed): open it again to see what is there.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    options: SqliteOptions,
    readers: Arc<Readers>,
    bell: Arc<Bell>,
    /// None where the file cannot be written.
    writer: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens a file, and makes it if there is none. Opening does not own it.
    ///
    /// # Errors
    /// The file cannot be opened, is no store, is damaged, or was written by a newer version of this library.
    pub fn open(path: impl AsRef<Path>) -> StoreResult<Self> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// Opens a file with options, and makes it if there is none. Opening does not own it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); and a file that is only to be read must be there and be up to date.
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> StoreResult<Self> {
        let path = read::absolute(path.as_ref())?;
        let (connection, read_only) = schema::open(&path, &options)?;
        let readers = Arc::new(Readers::new(path.clone(), options.clone(), read_only));
        let bell = Arc::new(Bell::new(path.clone(), options.clone()));
        let start = || Writing::start(connection, &path, &options, Arc::clone(&bell));
        let writer = if read_only { None } else { Some(start()?) };
        Ok(Self { path, options, readers, bell, writer })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn write(&self, operation: &'static str, work: Work) -> StoreResult<Done> {
        let fail = |kind| StoreError::new(kind, operation, self.path.display());
        let Some(writer) = &self.writer else { return Err(fail(StoreErrorKind::ReadOnly)) };
        writer.queue.ask(work).await.unwrap_or_else(|| Err(fail(StoreErrorKind::Closed)))
    }

    async fn remove(&self, operation: &'static str, work: Work) -> StoreResult<u64> {
        match self.write(operation, work).await? {
            Done::Removed(removed) => Ok(removed),
            _ => Err(self.other(operation)),
        }
    }

    async fn park_or_not(&self, operation: &'static str, work: Work) -> StoreResult<bool> {
        match self.write(operation, work).await? {
            Done::Parked(parked) => Ok(parked),
            _ => Err(self.other(operation)),
        }
    }

    /// For a kind of answer that the writer does not give to this work.
    fn other(&self, operation: &'static str) -> StoreError {
        StoreError::new(StoreErrorKind::Other, operation, self.path.display())
    }

    /// SQLite takes no more than 1 GB in a row; refused here, it fails nobody else's commit.
    fn check_size(&self, operation: &'static str, pid: &ProcessId, bytes: usize) -> StoreResult<()> {
        if bytes <= limits::RECORD_BYTES {
            return Ok(());
        }
        let fault = format!("{bytes} bytes are more than {}", limits::RECORD_BYTES);
        Err(StoreError::new(StoreErrorKind::Other, operation, of_process(pid, &self.path)).with_source(fault))
    }
}

impl Writing {
    fn start(
        connection: rusqlite::Connection,
        path: &Path,
        options: &SqliteOptions,
        bell: Arc<Bell>,
    ) -> StoreResult<Self> {
        let queue = Arc::new(Queue::new());
        let (jobs, file, options) = (Arc::clone(&queue), path.to_owned(), options.clone());
        let thread = std::thread::Builder::new()
            .name("procession-sqlite".into())
            .spawn(move || writer::run(connection, file, &options, &jobs, bell))
            .map_err(|error| StoreError::new(StoreErrorKind::Io, "open", path.display()).with_source(error))?;
        Ok(Self { queue, thread: Some(thread) })
    }
}

impl Drop for Writing {
    /// Waits for what is queued, so that the file can be opened again, and owned, when this returns.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // Its panics are its own: they closed the queue.
            let _ = thread.join();
        }
    }
}

fn size_of(process: &NewProcess) -> usize {
    let optional = [&process.defaulted, &process.listeners].into_iter().flatten().map(String::len).sum::<usize>();
    process.position.len() + process.context.len() + process.inputs.len() + optional
}

fn json<T: serde::Serialize>(value: &T, operation: &'static str, subject: impl Display) -> StoreResult<String> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::new(StoreErrorKind::Other, operation, subject).with_source(error))
}

impl Store for SqliteStore {
    /// In a file beside this one, `<file>-channels`.
    fn channels(&self) -> StoreResult<Option<Arc<dyn Transport>>> {
        if self.writer.is_none() {
            return Ok(None);
        }
        let mut path = self.path.clone().into_os_string();
        path.push("-channels");
        let options = SqliteTransportOptions::default().with_busy_timeout(self.options.busy);
        let opened = SqliteTransport::open_with(&path, options);
        let failed = |error: TransportError| {
            let subject = Path::new(&path).display();
            StoreError::new(StoreErrorKind::Other, "open the channels of", subject).with_source(error)
        };
        opened.map(|transport| Some(Arc::new(transport) as _)).map_err(failed)
    }

    fn acquire(&self) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(async move {
            match self.write("own", Work::Acquire).await? {
                Done::Acquired(epoch) => Ok(epoch),
                _ => Err(self.other("own")),
            }
        })
    }

    fn release(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            self.bell.forget(epoch);
            self.write("release", Work::Release { epoch }).await.map(drop)
        })
    }

    fn create(&self, epoch: Epoch, process: NewProcess) -> BoxFuture<'_, StoreResult<Creation>> {
        Box::pin(async move {
            self.check_size("create", &process.pid, size_of(&process))?;
            process.check()?;
            match self.write("create", Work::Create { epoch, process: Box::new(process) }).await? {
                Done::Created(creation) => Ok(creation),
                _ => Err(self.other("create")),
            }
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>> {
        Box::pin(async move {
            commit.check()?;
            let texts = [&commit.position, &commit.context, &commit.outputs, &commit.listeners, &commit.ended];
            let row = texts.into_iter().flatten().map(String::len).sum::<usize>();
            let largest = commit.children.iter().map(size_of).chain([row]).max().unwrap_or(0);
            self.check_size("commit", &commit.pid, largest)?;
            match self.write("commit", Work::Commit(Box::new(commit))).await? {
                Done::Committed(committed) => Ok(committed),
                _ => Err(self.other("commit")),
            }
        })
    }

    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.write("park", Work::Park { epoch, pid: pid.clone(), reason }).await.map(drop) })
    }

    fn load<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        let pid = pid.clone();
        Box::pin(self.readers.read("read a process in", move |connection| read::load(connection, &pid)))
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ProcessId>>> {
        let key = key.to_owned();
        Box::pin(self.readers.read("find a process in", move |connection| read::find(connection, &key)))
    }

    fn termination<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Termination>>> {
        let pid = pid.clone();
        Box::pin(self.readers.read("read an end in", move |connection| read::termination(connection, &pid)))
    }

    fn ends(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Ends>> {
        Box::pin(self.readers.read("read ends in", move |connection| read::ends(connection, processes)))
    }

    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        let operation = "list the unfinished in";
        Box::pin(self.readers.read(operation, move |connection| read::unfinished(connection, after, most)))
    }

    fn list(&self, states: Vec<ProcessState>, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(self.readers.read("list", move |connection| read::list(connection, &states, after, most)))
    }

    fn search(&self, search: Search) -> BoxFuture<'_, StoreResult<Summaries>> {
        Box::pin(async move {
            search.check(self.path.display())?;
            self.readers.read("search", move |connection| search::search(connection, &search)).await
        })
    }

    fn look(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Looks>> {
        let now = SystemClock.now();
        Box::pin(self.readers.read("look at processes in", move |connection| look::look(connection, processes, now)))
    }

    fn hint(&self, epoch: Epoch, hints: Vec<Hint>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.write("keep hints in", Work::Hint { epoch, hints }).await.map(drop) })
    }

    fn children<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ProcessId>>> {
        let pid = pid.clone();
        Box::pin(self.readers.read("list children in", move |connection| read::children(connection, &pid)))
    }

    fn history<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<HistoryEntry>>> {
        let (pid, most) = (pid.clone(), self.options.history);
        Box::pin(self.readers.read("read a history in", move |connection| read::history(connection, &pid, most)))
    }

    fn report<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ReportLine>>> {
        let (pid, most) = (pid.clone(), self.options.reports);
        Box::pin(self.readers.read("read a report in", move |connection| read::report(connection, &pid, most)))
    }

    fn memo<'a>(&'a self, pid: &'a ProcessId, step: u64, name: &'a str) -> BoxFuture<'a, StoreResult<Option<String>>> {
        let (pid, name) = (pid.clone(), name.to_owned());
        Box::pin(self.readers.read("read a memo in", move |connection| read::memo(connection, &pid, step, &name)))
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
            let work = Work::Memo { epoch, pid: pid.clone(), step, name: name.to_owned(), value };
            self.write(operation, work).await.map(drop)
        })
    }

    fn request<'a>(&'a self, pid: &'a ProcessId, request: Request) -> BoxFuture<'a, StoreResult<RequestId>> {
        Box::pin(async move {
            let operation = "store a request to";
            let text = json(&request, operation, of_process(pid, &self.path))?;
            self.check_size(operation, pid, text.len())?;
            match self.write(operation, Work::Request { pid: pid.clone(), text }).await? {
                Done::Requested(id) => Ok(id),
                _ => Err(self.other(operation)),
            }
        })
    }

    fn requests(&self, after: Option<RequestId>) -> BoxFuture<'_, StoreResult<Vec<RequestRow>>> {
        Box::pin(self.readers.requests(after))
    }

    fn discard_requests(&self, epoch: Epoch, requests: Vec<RequestId>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.write("discard requests in", Work::Discard { epoch, requests }).await.map(drop) })
    }

    fn owe<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reply: OwedReply) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            reply.check(pid)?;
            self.write("store an owed reply of", Work::Owe { epoch, pid: pid.clone(), reply }).await.map(drop)
        })
    }

    fn owed(
        &self,
        after: Option<(ProcessId, String)>,
        most: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<(ProcessId, OwedReply)>>> {
        let operation = "list owed replies in";
        Box::pin(self.readers.read(operation, move |connection| read::owed(connection, after.as_ref(), most)))
    }

    fn settle(&self, epoch: Epoch, replies: Vec<(ProcessId, String)>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.write("settle replies in", Work::Settle { epoch, replies }).await.map(drop) })
    }

    fn unsent(&self, epoch: Epoch, most: usize) -> BoxFuture<'_, StoreResult<Unsent>> {
        Box::pin(async move {
            let operation = "take over messages of";
            match self.write(operation, Work::Unsent { epoch, most }).await? {
                Done::Unsent(unsent) => Ok(unsent),
                _ => Err(self.other(operation)),
            }
        })
    }

    fn sent(&self, epoch: Epoch, messages: Vec<Uuid>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.write("forget messages of", Work::Sent { epoch, messages }).await.map(drop) })
    }

    fn mend(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<Mended>> {
        Box::pin(async move {
            match self.write("mend", Work::Mend { epoch }).await? {
                Done::Mended(mended) => Ok(mended),
                _ => Err(self.other("mend")),
            }
        })
    }

    fn memos<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Memo>>> {
        let pid = pid.clone();
        Box::pin(self.readers.read("read memos in", move |connection| transfer::memos(connection, &pid)))
    }

    fn placement<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Placement>> {
        let pid = pid.clone();
        Box::pin(self.readers.read("read a placement in", move |connection| transfer::placement(connection, &pid)))
    }

    fn import(&self, epoch: Epoch, bundles: Vec<Bundle>) -> BoxFuture<'_, StoreResult<Creation>> {
        Box::pin(async move {
            check_all(&bundles)?;
            let operation = "import processes into";
            match self.write(operation, Work::Import { epoch, bundles }).await? {
                Done::Created(creation) => Ok(creation),
                _ => Err(self.other(operation)),
            }
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
            let work = Work::SaveSnapshot { epoch, pid: pid.clone(), tag: tag.to_owned(), at };
            self.write("save a snapshot of", work).await.map(drop)
        })
    }

    fn load_snapshot<'a>(&'a self, pid: &'a ProcessId, tag: &'a str) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        let (pid, tag) = (pid.clone(), tag.to_owned());
        let operation = "read a snapshot in";
        Box::pin(self.readers.read(operation, move |connection| read::load_snapshot(connection, &pid, &tag)))
    }

    fn snapshots_of<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>> {
        let pid = pid.clone();
        Box::pin(self.readers.read("list snapshots in", move |connection| read::snapshots_of(connection, &pid)))
    }

    fn snapshots(&self, after: Option<(ProcessId, String)>, most: usize) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>> {
        let operation = "list snapshots in";
        Box::pin(self.readers.read(operation, move |connection| read::snapshots(connection, after.as_ref(), most)))
    }

    fn delete_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let work = Work::DeleteSnapshots { epoch, pid: pid.clone(), tag: Some(tag.to_owned()) };
        Box::pin(async move { self.remove("delete a snapshot of", work).await.map(|removed| removed > 0) })
    }

    fn delete_snapshots<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<u64>> {
        let work = Work::DeleteSnapshots { epoch, pid: pid.clone(), tag: None };
        Box::pin(self.remove("delete the snapshots of", work))
    }

    fn restore<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Record>> {
        Box::pin(async move {
            match self.write("restore", Work::Restore { epoch, pid: pid.clone(), tag: tag.to_owned(), at }).await? {
                Done::Restored(record) => Ok(*record),
                _ => Err(self.other("restore")),
            }
        })
    }

    fn join(&self, worker: Worker, lease: Duration) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(async move {
            let operation = "join the workers in";
            match self.write(operation, Work::Join { worker, lease }).await? {
                Done::Acquired(epoch) => Ok(epoch),
                _ => Err(self.other(operation)),
            }
        })
    }

    fn renew(&self, epoch: Epoch, slots_used: u32) -> BoxFuture<'_, StoreResult<Renewed>> {
        Box::pin(async move {
            let operation = "renew a lease in";
            match self.write(operation, Work::Renew { epoch, slots_used }).await? {
                Done::Renewed(renewed) => Ok(renewed),
                _ => Err(self.other(operation)),
            }
        })
    }

    fn ask_to_drain(&self, worker: Epoch) -> BoxFuture<'_, StoreResult<bool>> {
        Box::pin(async move {
            let operation = "ask a worker to drain in";
            match self.write(operation, Work::Drain { worker }).await? {
                Done::Drains(drains) => Ok(drains),
                _ => Err(self.other(operation)),
            }
        })
    }

    fn claim(&self, epoch: Epoch, most: usize, attempts: u32) -> BoxFuture<'_, StoreResult<Claimed>> {
        Box::pin(async move {
            let operation = "claim processes in";
            match self.write(operation, Work::Claim { epoch, most, attempts }).await? {
                Done::Claimed(claimed) => Ok(*claimed),
                _ => Err(self.other(operation)),
            }
        })
    }

    fn hand_over(&self, epoch: Epoch, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<()>> {
        let operation = "hand processes over in";
        Box::pin(async move { self.write(operation, Work::HandOver { epoch, processes }).await.map(drop) })
    }

    fn fail<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        reason: String,
        attempts: u32,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(self.park_or_not("give up", Work::Fail { epoch, pid: pid.clone(), reason, attempts }))
    }

    fn unpark<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(self.park_or_not("unpark", Work::Unpark { epoch, pid: pid.clone() }))
    }

    fn standing(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<StandingPage>> {
        let (operation, now) = ("look over the processes in", SystemClock.now());
        Box::pin(self.readers.read(operation, move |connection| standing::standing(connection, after, most, now)))
    }

    fn work(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.bell.work(epoch))
    }

    fn workers(&self) -> BoxFuture<'_, StoreResult<Vec<WorkerRow>>> {
        let now = SystemClock.now();
        Box::pin(self.readers.read("list the workers in", move |connection| standing::workers(connection, now)))
    }

    fn delete<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        let work = Work::Delete { epoch, pid: pid.clone() };
        Box::pin(async move { self.remove("delete", work).await.map(|removed| removed > 0) })
    }
}

#[cfg(test)]
mod tests;
