//! A store in a folder of JSON documents, for people to read and for tools that know files only. What stands in the
//! folder is said at [`FileStore`].
//!
//! # How a change is atomic
//! A document is written beside its place, flushed, and renamed into it; the folder is flushed after that. A change of
//! several documents is written to the journal in the same way, and carried out then. From the moment the journal is
//! in its place it counts: who reads sees its documents, and the next who writes carries out what is left of it.

mod disk;
mod document;
mod hints;
mod index;
mod journal;
mod lock;
mod messages;
mod names;
mod opening;
mod options;
mod owed;
mod ownership;
mod requests;
mod snapshots;
mod standing;
mod table;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use uuid::Uuid;

pub use self::options::FileOptions;

use self::disk::{Disk, Failure, is_read_only};
use self::journal::{Made, View};
use self::lock::{CHANGE_LOCK, Patience};
use self::ownership::Owned;
use self::standing::Wanted;
use self::table::Rows;
use super::rules::{self, Retention, Table};
use super::sharing::refuse_placement;
use super::{
    Bundle, Commit, Committed, Creation, Ends, Epoch, Hint, HistoryEntry, Looks, Memo, Mended, NewProcess, OwedReply,
    Page, Placement, Record, ReportLine, RequestId, RequestRow, Search, Snapshot, StandingPage, Store, StoreError,
    StoreErrorKind, StoreResult, Summaries, Unsent,
};
use crate::clock::Timestamp;
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Termination};

/// Keeps processes in a folder of JSON documents (S101): slower than [`SqliteStore`](super::SqliteStore), and readable
/// without any tool.
///
/// # The folder
/// | path | what it is |
/// |---|---|
/// | `store.json` | says that the folder is a store, and of which version |
/// | `owner.json`, `owner.lock` | the epoch; the lock of the owner |
/// | `processes/<pid>.json` | a process: its record, children, memos, report and history |
/// | `parked/<pid>.json` | why it was put aside |
/// | `keys/<key>.json` | which process has the key |
/// | `snapshots/<pid>@<tag>.json` | a snapshot |
/// | `requests/<number>@<pid>.json`, `requests.json` | a request; the last number |
/// | `owed/<pid>@<id>.json` | a reply that is owed |
/// | `messages/<id>.json` | a message that is to be sent |
/// | `hints.json` | how far the steps say they are that run, as the owner has told it last |
/// | `journal.json` | the documents of a change that is being carried out |
/// | `change.lock` | locked while documents are changed, shared while they are read |
///
/// In names, small letters, digits, `-` and `_` stand for themselves and every other byte is `%` and two hexadecimal
/// digits, so that any text is a safe name, also where the system does not tell `A` from `a`; of a very long text the
/// name is its beginning, `~` and a hash. Context, inputs and the other texts stand in a document as the JSON that they
/// are, byte for byte.
///
/// # What is promised
/// A call that returned `Ok` is on the disk, and survives a power failure. A call that failed changed nothing, also
/// where the disk was full in the middle of it.
///
/// # Who may do what
/// Anyone may open the folder, read it and append requests, from any OS process. One [`acquire`](Store::acquire)s it
/// and writes; another is refused as [in use](StoreErrorKind::InUse) by a lock of the operating system, which is free
/// when its holder is gone, however that went.
///
/// # What a failure leads to
/// Where the disk is full a call is refused, and later ones may succeed. A document that is damaged is reported with
/// its process, and harms no other; a file whose name is none of ours is left alone, with a warning; a folder that is
/// missing, since some tools do not keep empty ones, is empty, and is made again. Where another holds the folder for
/// too long, say since it was stopped in the midst of a listing, a call is refused as [busy](StoreErrorKind::Busy). After a failed flush the store is [closed](StoreErrorKind::Closed): open it again
/// to see what is there.
#[derive(Debug, Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Disk,
    retention: Retention,
    read_only: bool,
    patience: Patience,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    owned: Option<Owned>,
    closed: bool,
}

impl State {
    /// Nothing more is written. Who opens the folder again and owns it flushes it first, with the new epoch.
    fn close(&mut self) {
        self.closed = true;
        self.owned = None;
    }
}

const FOLDERS: [&str; 7] = ["processes", "parked", "keys", "snapshots", "requests", "owed", "messages"];

fn kind_of(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreErrorKind::Full,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreErrorKind::Corrupt,
        kind if is_read_only(kind) => StoreErrorKind::ReadOnly,
        _ => StoreErrorKind::Io,
    }
}

fn failed(operation: &'static str, subject: impl Display, error: io::Error) -> StoreError {
    StoreError::new(kind_of(&error), operation, subject).with_source(error)
}

/// Names a process and its folder.
fn of_process(pid: &ProcessId, folder: &Path) -> String {
    format!("process `{pid}` in {}", folder.display())
}

impl FileStore {
    /// Opens a folder, and makes it if there is none. Opening does not own it. A folder of an earlier version of this
    /// library is brought up to date, after which that version refuses it; one that is only read stays as it is.
    ///
    /// # Errors
    /// The folder cannot be made or read, holds something else, or was written by a newer version of this library.
    pub fn open(path: impl AsRef<Path>) -> StoreResult<Self> {
        Self::open_with(path, FileOptions::default())
    }

    /// Opens a folder with options, and makes it if there is none. Opening does not own it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: FileOptions) -> StoreResult<Self> {
        let path = path.as_ref();
        let root = std::path::absolute(path).map_err(|error| failed("open", path.display(), error))?;
        Self::open_on(Disk::new(root), options)
    }

    fn open_on(disk: Disk, options: FileOptions) -> StoreResult<Self> {
        opening::open(&disk, &options)?;
        let inner = Inner {
            disk,
            retention: Retention::new(options.history, options.reports),
            read_only: options.read_only,
            patience: Patience::new(options.busy),
            state: RwLock::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.inner.disk.root()
    }

    /// Runs on a thread where blocking is allowed.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        run: impl FnOnce(&Inner) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let inner = Arc::clone(&self.inner);
        let result = tokio::task::spawn_blocking(move || run(&inner)).await;
        result.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Closed, operation, self.path().display())))
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        operation: &'static str,
        read: impl FnOnce(&View<'_>) -> StoreResult<T> + Send + 'static,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(self.run(operation, move |inner| inner.read(operation, |view, _| read(view))))
    }

    /// Changes rows, for the owner alone.
    fn change<'a, T: Send + 'static>(
        &'a self,
        epoch: Epoch,
        operation: &'static str,
        subject: String,
        change: impl FnOnce(&mut Rows<'_>) -> StoreResult<T> + Send + 'static,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(self.run(operation, move |inner| inner.change(epoch, operation, &subject, change)))
    }

    fn of(&self, pid: &ProcessId) -> String {
        of_process(pid, self.path())
    }
}

impl Inner {
    fn fail(&self, kind: StoreErrorKind, operation: &'static str) -> StoreError {
        StoreError::new(kind, operation, self.disk.root().display())
    }

    fn failed(&self, operation: &'static str, error: io::Error) -> StoreError {
        failed(operation, self.disk.root().display(), error)
    }

    /// Reads while nobody writes, here or in another OS process.
    fn read<T>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&View<'_>, &State) -> StoreResult<T>,
    ) -> StoreResult<T> {
        let began = Instant::now();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let _lock = match self.lock(operation, File::try_lock_shared, began) {
            // Where nobody has written since it was made, or nobody can, there is no change to wait for.
            Err(_) if self.read_only && !self.disk.root().join(CHANGE_LOCK).exists() => None,
            lock => Some(lock?),
        };
        read(&View::new(&self.disk).map_err(|error| self.failed(operation, error))?, &state)
    }

    /// Writes while nobody reads or writes, and when nothing is left to be carried out.
    fn write<T>(
        &self,
        operation: &'static str,
        write: impl FnOnce(&View<'_>, &mut State) -> StoreResult<T>,
    ) -> StoreResult<T> {
        let began = Instant::now();
        // A panic of another caller left what a crash would have left, and the index as of its last change.
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if self.read_only {
            return Err(self.fail(StoreErrorKind::ReadOnly, operation));
        }
        if state.closed {
            return Err(self.fail(StoreErrorKind::Closed, operation));
        }
        let _lock = self.lock(operation, File::try_lock, began)?;
        let mut view = View::new(&self.disk).map_err(|error| self.failed(operation, error))?;
        self.settle(operation, &mut state, view.finish())?;
        write(&view, &mut state)
    }

    fn lock(
        &self,
        operation: &'static str,
        lock: fn(&File) -> Result<(), TryLockError>,
        began: Instant,
    ) -> StoreResult<File> {
        let failed = |error| self.failed(operation, error);
        let file = self.disk.lock_file(CHANGE_LOCK).map_err(failed)?;
        if self.patience.take(&file, lock, began).map_err(failed)? {
            return Ok(file);
        }
        Err(self.fail(StoreErrorKind::Busy, operation))
    }

    /// What a write on the disk led to: where that is not known, nothing more is written.
    fn settle(&self, operation: &'static str, state: &mut State, written: Result<(), Failure>) -> StoreResult<()> {
        match written {
            Ok(()) => Ok(()),
            Err(Failure::Undone(error)) => Err(self.failed(operation, error)),
            Err(Failure::Unknown(error)) => {
                state.close();
                Err(self.failed(operation, error))
            }
        }
    }

    fn change<T>(
        &self,
        epoch: Epoch,
        operation: &'static str,
        subject: &str,
        change: impl FnOnce(&mut Rows<'_>) -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.write(operation, |view, state| {
            ownership::fence(view, state, epoch, operation, subject)?;
            let stale = || StoreError::new(StoreErrorKind::Stale, operation, subject);
            let owned = state.owned.as_ref().ok_or_else(stale)?;
            let mut rows = Rows::new(view, self.retention, &owned.index, owned.messages);
            let result = change(&mut rows)?;
            match journal::commit(&self.disk, &rows.changes()?) {
                Ok(Made::Known) => {
                    if let Some(owned) = &mut state.owned {
                        rows.note(&mut owned.index);
                        owned.messages = rows.messages;
                    }
                }
                Ok(Made::Unknown(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the store is closed after this change");
                    state.close();
                }
                Err(failure) => self.settle(operation, state, Err(failure))?,
            }
            Ok(result)
        })
    }
}

impl Store for FileStore {
    fn acquire(&self) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(self.run("own", ownership::acquire))
    }

    fn release(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.run("release", move |inner| {
            let mut state = inner.state.write().unwrap_or_else(PoisonError::into_inner);
            // Another owner's ownership is not this one's to give up.
            state.owned.take_if(|owned| owned.epoch == epoch);
            Ok(())
        }))
    }

    fn create(&self, epoch: Epoch, process: NewProcess) -> BoxFuture<'_, StoreResult<Creation>> {
        self.change(epoch, "create", self.of(&process.pid), move |rows| {
            refuse_placement("create", [&process])?;
            rules::create(rows, epoch, process)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>> {
        // What no runner may write is refused as that, whoever writes it, as in the other stores.
        if let Err(error) = commit.check() {
            return Box::pin(async { Err(error) });
        }
        self.change(commit.epoch, "commit", self.of(&commit.pid), move |rows| {
            refuse_placement("commit", &commit.children)?;
            rules::commit(rows, commit)
        })
    }

    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>> {
        let pid = pid.clone();
        Box::pin(self.run("park", move |inner| inner.park(epoch, &pid, reason)))
    }

    fn load<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        let pid = pid.clone();
        self.read("read a process in", move |view| view.record(&pid))
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ProcessId>>> {
        let key = key.to_owned();
        self.read("find a process in", move |view| view.holder(&key))
    }

    fn termination<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Termination>>> {
        let (pid, subject) = (pid.clone(), self.of(pid));
        self.read("read an end in", move |view| {
            let Some(record) = view.record(&pid)? else { return Ok(None) };
            record.termination().map_err(|error| failed("read the end of", subject, error.into()))
        })
    }

    fn ends(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Ends>> {
        self.read("read ends in", move |view| Ends::of(processes, |pid| view.record(pid)))
    }

    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(self.run("list", move |inner| inner.page(&Wanted::Unfinished, after, most)))
    }

    fn list(&self, states: Vec<ProcessState>, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(self.run("list", move |inner| inner.page(&Wanted::In(states), after, most)))
    }

    fn search(&self, search: Search) -> BoxFuture<'_, StoreResult<Summaries>> {
        Box::pin(self.run("search", move |inner| inner.search(&search)))
    }

    fn look(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Looks>> {
        Box::pin(self.run("look at processes in", move |inner| inner.look(processes)))
    }

    fn hint(&self, epoch: Epoch, hints: Vec<Hint>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.run("keep hints in", move |inner| inner.hint(epoch, hints)))
    }

    fn children<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ProcessId>>> {
        let pid = pid.clone();
        self.read("list children in", move |view| Ok(view.row(&pid)?.map(|(row, _)| row.children).unwrap_or_default()))
    }

    fn history<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<HistoryEntry>>> {
        let pid = pid.clone();
        self.read("read a history in", move |view| {
            Ok(view.row(&pid)?.map(|(row, _)| row.history.into()).unwrap_or_default())
        })
    }

    fn report<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ReportLine>>> {
        let pid = pid.clone();
        self.read("read a report in", move |view| {
            Ok(view.row(&pid)?.map(|(row, _)| row.report.into()).unwrap_or_default())
        })
    }

    fn memo<'a>(&'a self, pid: &'a ProcessId, step: u64, name: &'a str) -> BoxFuture<'a, StoreResult<Option<String>>> {
        let (pid, name) = (pid.clone(), name.to_owned());
        self.read("read a memo in", move |view| {
            Ok(view.row(&pid)?.and_then(|(mut row, _)| row.memos.remove(&(step, name))))
        })
    }

    fn put_memo<'a>(
        &'a self,
        pid: &'a ProcessId,
        epoch: Epoch,
        step: u64,
        name: &'a str,
        value: String,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let (pid, name, subject) = (pid.clone(), name.to_owned(), self.of(pid));
        self.change(epoch, "store a memo of", subject, move |rows| rules::put_memo(rows, &pid, step, &name, value))
    }

    fn request<'a>(&'a self, pid: &'a ProcessId, request: Request) -> BoxFuture<'a, StoreResult<RequestId>> {
        Box::pin(async move {
            let operation = "store a request to";
            let text = serde_json::to_string(&request);
            let text = text.map_err(|error| failed(operation, self.of(pid), error.into()))?;
            let pid = pid.clone();
            self.run(operation, move |inner| inner.request(&pid, text)).await
        })
    }

    fn requests(&self, after: Option<RequestId>) -> BoxFuture<'_, StoreResult<Vec<RequestRow>>> {
        self.read("read requests in", move |view| requests::requests(view, after))
    }

    fn discard_requests(&self, epoch: Epoch, ids: Vec<RequestId>) -> BoxFuture<'_, StoreResult<()>> {
        let subject = format!("requests in {}", self.path().display());
        self.change(epoch, "discard", subject, move |rows| {
            for id in ids {
                rows.remove_request(id);
            }
            Ok(())
        })
    }

    fn owe<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reply: OwedReply) -> BoxFuture<'a, StoreResult<()>> {
        let (pid, subject) = (pid.clone(), self.of(pid));
        self.change(epoch, "store an owed reply of", subject, move |rows| rules::owe(rows, epoch, &pid, reply))
    }

    fn owed(
        &self,
        after: Option<(ProcessId, String)>,
        most: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<(ProcessId, OwedReply)>>> {
        self.read("list owed replies in", move |view| owed::owed(view, after.as_ref(), most))
    }

    fn settle(&self, epoch: Epoch, replies: Vec<(ProcessId, String)>) -> BoxFuture<'_, StoreResult<()>> {
        let subject = self.path().display().to_string();
        self.change(epoch, "settle replies in", subject, move |rows| owed::settle(rows, &replies))
    }

    fn unsent(&self, epoch: Epoch, most: usize) -> BoxFuture<'_, StoreResult<Unsent>> {
        self.change(epoch, "take over messages of", self.path().display().to_string(), move |rows| {
            let messages = messages::take_over(rows, epoch, most)?;
            Ok(Unsent { messages, replies: owed::take_over(rows, epoch, most)? })
        })
    }

    fn sent(&self, epoch: Epoch, messages: Vec<Uuid>) -> BoxFuture<'_, StoreResult<()>> {
        let subject = self.path().display().to_string();
        self.change(epoch, "forget messages of", subject, move |rows| messages::forget(rows, &messages))
    }

    fn mend(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<Mended>> {
        Box::pin(self.run("mend", move |inner| inner.mend(epoch)))
    }

    fn memos<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Memo>>> {
        let pid = pid.clone();
        self.read("read memos in", move |view| Ok(view.row(&pid)?.map(|(row, _)| row.memos()).unwrap_or_default()))
    }

    fn placement<'a>(&'a self, _: &'a ProcessId) -> BoxFuture<'a, StoreResult<Placement>> {
        Box::pin(async { Ok(Placement::default()) })
    }

    fn import(&self, epoch: Epoch, bundles: Vec<Bundle>) -> BoxFuture<'_, StoreResult<Creation>> {
        self.change(epoch, "import", format!("processes into {}", self.path().display()), move |rows| {
            if let Some(placed) = bundles.iter().find(|bundle| bundle.placement != Placement::default()) {
                return Err(placed.refuse(StoreErrorKind::Unsupported, "a placement"));
            }
            rules::import(rows, bundles)
        })
    }

    fn save_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let (pid, tag, subject) = (pid.clone(), tag.to_owned(), self.of(pid));
        self.change(epoch, "save a snapshot of", subject, move |rows| snapshots::save_snapshot(rows, &pid, &tag, at))
    }

    fn load_snapshot<'a>(&'a self, pid: &'a ProcessId, tag: &'a str) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        let (pid, tag) = (pid.clone(), tag.to_owned());
        self.read("read a snapshot in", move |view| snapshots::load_snapshot(view, &pid, &tag))
    }

    fn snapshots_of<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>> {
        let pid = pid.clone();
        self.read("list snapshots in", move |view| snapshots::snapshots_of(view, &pid))
    }

    fn snapshots(&self, after: Option<(ProcessId, String)>, most: usize) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>> {
        self.read("list snapshots in", move |view| snapshots::snapshots(view, after.as_ref(), most))
    }

    fn delete_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let (path, subject) = (table::snapshot_path(pid, tag), self.of(pid));
        let operation = "delete a snapshot of";
        self.change(epoch, operation, subject.clone(), move |rows| {
            let there = rows.view().read(&path).map_err(|error| failed(operation, subject, error))?.is_some();
            if there {
                rows.drop_document(path);
            }
            Ok(there)
        })
    }

    fn delete_snapshots<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<u64>> {
        let (pid, subject) = (pid.clone(), self.of(pid));
        self.change(epoch, "delete the snapshots of", subject, move |rows| snapshots::delete_snapshots(rows, &pid))
    }

    fn restore<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Record>> {
        let (pid, tag, subject) = (pid.clone(), tag.to_owned(), self.of(pid));
        self.change(epoch, "restore", subject, move |rows| snapshots::restore(rows, &pid, &tag, at))
    }

    fn unpark<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        let (pid, subject) = (pid.clone(), self.of(pid));
        self.change(epoch, "unpark", subject, move |rows| rules::unpark(rows, &pid))
    }

    fn standing(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<StandingPage>> {
        Box::pin(self.run("look over the processes in", move |inner| inner.standing(after, most)))
    }

    fn delete<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        let (pid, subject) = (pid.clone(), self.of(pid));
        self.change(epoch, "delete", subject, move |rows| rules::delete(rows, &pid))
    }
}
