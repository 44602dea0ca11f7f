//! A store in memory: the reference that the others are measured by. What it keeps ends with the OS process.

mod messages;
mod search;
mod sharing;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use self::messages::Messages;
use self::sharing::Workers;
use super::rules::{self, Retention, Row, Table};
use super::snapshot::{check_number, check_tag, copy, listed};
use super::{
    Bundle, Claimed, Commit, Committed, Creation, Ends, Epoch, Hint, HistoryEntry, Looks, Memo, Mended, Message,
    NewProcess, OwedReply, Page, Placement, Record, Renewed, ReportLine, RequestId, RequestRow, SavedSnapshot, Search,
    Snapshot, StandingPage, Store, StoreError, StoreErrorKind, StoreResult, Summaries, Unsent, Worker, WorkerRow,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::limits;
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Termination};

/// Keeps processes in memory, as texts, as the other stores do. Clones share what is kept, and so can the runtimes of one
/// OS process.
#[derive(Clone)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("kept", &self.kept).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Kept {
    retention: Retention,
    /// When this call began, by the store's clock, which does not go back.
    now: Timestamp,
    /// The epoch that was given last.
    epoch: Epoch,
    /// Whether it is that of the one owner; otherwise the workers are.
    owned: bool,
    workers: Workers,
    rows: HashMap<ProcessId, Row>,
    /// The ids in the order of creation.
    order: BTreeMap<u64, ProcessId>,
    /// The place of the process that was created last; none is given twice.
    last: u64,
    keys: HashMap<String, ProcessId>,
    /// By id, as text, and tag: when, and what.
    snapshots: BTreeMap<(String, String), (Timestamp, Record)>,
    requests: BTreeMap<RequestId, (ProcessId, String)>,
    /// By process, as text, and id: to where, and whose it is to send it.
    owed: BTreeMap<(String, String), (String, Epoch)>,
    messages: Messages,
    /// What each worker has told last of its steps.
    hints: HashMap<Epoch, Vec<Hint>>,
    last_request: RequestId,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store that keeps of each process as much as [`limits`] says.
    pub fn new() -> Self {
        Self::with_retention(limits::HISTORY, limits::REPORTS)
    }

    /// An empty store that keeps this many transitions and lines of report of each process.
    pub fn with_retention(history: u64, reports: u64) -> Self {
        let kept = Kept {
            retention: Retention::new(history, reports),
            now: Timestamp::default(),
            epoch: Epoch(0),
            owned: false,
            workers: Workers::new(),
            rows: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
            keys: HashMap::new(),
            snapshots: BTreeMap::new(),
            requests: BTreeMap::new(),
            owed: BTreeMap::new(),
            messages: Messages::default(),
            hints: HashMap::new(),
            last_request: RequestId(0),
        };
        Self { kept: Arc::new(Mutex::new(kept)), clock: Arc::new(SystemClock) }
    }

    /// Takes time from this clock instead of the system's: it tells when leases lapse and waits are over.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Every call checks before it changes anything, so a panic of another caller left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now = kept.now.max(self.clock.now());
        kept
    }

    fn read<'a, T: Send + 'a>(&'a self, read: impl FnOnce(&Kept) -> T + Send + 'a) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move { Ok(read(&self.lock())) })
    }

    /// Changes something, for whoever may.
    fn write<'a, T: Send + 'a>(
        &'a self,
        epoch: Epoch,
        operation: &'static str,
        of: Of<'a>,
        write: impl FnOnce(&mut Kept) -> StoreResult<T> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, operation, of)?;
            write(&mut kept)
        })
    }
}

/// What is written of, and thereby who may.
#[derive(Debug, Clone, Copy)]
enum Of<'a> {
    /// Of no process, or of any: whoever writes under an epoch that is not stale.
    Any,
    /// Of this one, whoever's it is.
    Process(&'a ProcessId),
    /// Of this one, as long as no other worker has it.
    Free(&'a ProcessId),
    /// Of this one, which must be the writer's.
    Own(&'a ProcessId),
}

impl Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Process(pid) | Self::Free(pid) | Self::Own(pid) => pid.fmt(f),
        }
    }
}

fn refuse(kind: StoreErrorKind, operation: &'static str, subject: impl Display) -> StoreError {
    StoreError::new(kind, operation, format_args!("process `{subject}` in memory"))
}

impl Table for Kept {
    fn row(&mut self, pid: &ProcessId) -> StoreResult<Option<&Row>> {
        Ok(self.rows.get(pid))
    }

    fn row_mut(&mut self, pid: &ProcessId) -> StoreResult<Option<&mut Row>> {
        Ok(self.rows.get_mut(pid))
    }

    fn holder(&mut self, key: &str) -> StoreResult<Option<ProcessId>> {
        Ok(self.keys.get(key).cloned())
    }

    fn insert(&mut self, row: Row) {
        self.last += 1;
        let pid = row.record.pid.clone();
        self.order.insert(self.last, pid.clone());
        if let Some(key) = &row.record.key {
            self.keys.insert(key.clone(), pid.clone());
        }
        self.rows.insert(pid, Row { order: self.last, ..row });
    }

    fn remove(&mut self, record: &Record) -> StoreResult<()> {
        if let Some(row) = self.rows.remove(&record.pid) {
            self.order.remove(&row.order);
        }
        if let Some(key) = &record.key {
            self.keys.remove(key);
        }
        self.remove_requests_to(&record.pid);
        self.remove_snapshots(&record.pid);
        let pid = record.pid.to_string();
        self.owed.retain(|(of, _), _| *of != pid);
        Ok(())
    }

    fn remove_request(&mut self, request: RequestId) {
        self.requests.remove(&request);
    }

    fn remove_requests_to(&mut self, pid: &ProcessId) {
        self.requests.retain(|_, (of, _)| of != pid);
    }

    fn owes_besides(&mut self, pid: &ProcessId, id: &str) -> StoreResult<usize> {
        let pid = pid.to_string();
        let later = self.owed.range((pid.clone(), String::new())..);
        Ok(later.take_while(|((of, _), _)| *of == pid).filter(|((_, known), _)| known != id).count())
    }

    fn owe(&mut self, sender: Epoch, pid: &ProcessId, reply: OwedReply) -> StoreResult<()> {
        self.owed.insert((pid.to_string(), reply.id), (reply.address, sender));
        Ok(())
    }

    fn post(&mut self, sender: Epoch, pid: &ProcessId, message: Message) -> StoreResult<()> {
        self.messages.add(sender, pid, message);
        Ok(())
    }

    fn put_snapshot(&mut self, snapshot: SavedSnapshot) -> StoreResult<()> {
        let SavedSnapshot { tag, at, record } = snapshot;
        self.snapshots.insert((record.pid.to_string(), tag), (at, record));
        Ok(())
    }

    fn retention(&self) -> Retention {
        self.retention
    }

    fn refuse(&self, kind: StoreErrorKind, operation: &'static str, pid: &ProcessId) -> StoreError {
        refuse(kind, operation, pid)
    }
}

impl Kept {
    /// The one place that says who may write.
    fn fence(&self, epoch: Epoch, operation: &'static str, of: Of<'_>) -> StoreResult<()> {
        let may_write = match of {
            _ if self.owned => epoch == self.epoch,
            _ if !self.is_alive(epoch) => false,
            Of::Any | Of::Process(_) => true,
            Of::Free(pid) => self.is_free_for(epoch, pid),
            Of::Own(pid) => self.is_own(epoch, pid),
        };
        if may_write { Ok(()) } else { Err(refuse(StoreErrorKind::Stale, operation, of)) }
    }

    fn commit(&mut self, commit: Commit) -> StoreResult<Committed> {
        let pid = commit.pid.clone();
        let row = self.rows.get(&pid);
        let parked = row.is_some_and(|row| row.record.parked.is_some());
        // The end of a child, of which its parent's worker is told.
        let parent = row.and_then(|row| row.record.parent.clone()).filter(|_| commit.to.is_terminal());
        self.fence(commit.epoch, "commit", if parked { Of::Free(&pid) } else { Of::Own(&pid) })?;
        let unowned = commit.children.iter().filter(|child| child.placement.unowned);
        let children: Vec<_> = unowned.map(|child| child.pid.clone()).collect();
        let committed = rules::commit(self, commit)?;
        children.iter().chain(&parent).for_each(|pid| self.call_for(pid));
        Ok(committed)
    }

    fn page(&self, after: Option<u64>, most: usize, wanted: impl Fn(&Row) -> bool) -> Page {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Page::default();
        for (order, pid) in self.order.range((start, Bound::Unbounded)) {
            let Some(row) = self.rows.get(pid).filter(|row| wanted(row)) else { continue };
            if page.records.len() == most.max(1) {
                return page;
            }
            page.records.push(row.record.clone());
            page.next = Some(*order);
        }
        page.next = None;
        page
    }

    fn snapshots_of<'a>(&'a self, pid: &ProcessId) -> impl Iterator<Item = Snapshot> + 'a {
        let text = pid.to_string();
        let later = self.snapshots.range((text.clone(), String::new())..);
        later.take_while(move |((pid, _), _)| *pid == text).map(|((_, tag), (at, record))| listed(record, tag, *at))
    }

    fn save_snapshot(&mut self, pid: &ProcessId, tag: &str, at: Timestamp) -> StoreResult<()> {
        let operation = "save a snapshot of";
        let row = self.rows.get(pid).ok_or_else(|| refuse(StoreErrorKind::NotFound, operation, pid))?;
        check_tag(pid, tag)?;
        check_number(pid, self.snapshots_of(pid).filter(|known| known.tag != tag).count())?;
        let copy = copy(&row.record);
        self.snapshots.insert((pid.to_string(), tag.to_owned()), (at, copy));
        Ok(())
    }

    fn load_snapshot(&self, pid: &ProcessId, tag: &str) -> Option<Record> {
        let (_, snapshot) = self.snapshots.get(&(pid.to_string(), tag.to_owned()))?;
        let present = &self.rows.get(pid)?.record;
        Some(Record { parent: present.parent.clone(), ..snapshot.clone() })
    }

    fn remove_snapshots(&mut self, pid: &ProcessId) -> u64 {
        let tags: Vec<_> = self.snapshots_of(pid).map(|snapshot| snapshot.tag).collect();
        for tag in &tags {
            self.snapshots.remove(&(pid.to_string(), tag.clone()));
        }
        tags.len() as u64
    }

    fn restore(&mut self, epoch: Epoch, pid: &ProcessId, tag: &str, at: Timestamp) -> StoreResult<Record> {
        let snapshot = self.load_snapshot(pid, tag);
        let record = rules::restore(self, pid, snapshot, tag, at)?;
        if let Some(row) = self.rows.get_mut(pid) {
            row.share.begin_anew(Some(epoch));
        }
        Ok(record)
    }
}

impl Store for MemoryStore {
    fn is_durable(&self) -> bool {
        false
    }

    fn acquire(&self) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.epoch.0 += 1;
            kept.owned = true;
            kept.dismiss_all();
            Ok(kept.epoch)
        })
    }

    fn release(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut kept = self.lock();
            if kept.fence(epoch, "release", Of::Any).is_ok() {
                kept.leave(epoch);
            }
            Ok(())
        })
    }

    fn create(&self, epoch: Epoch, process: NewProcess) -> BoxFuture<'_, StoreResult<Creation>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, "create", Of::Process(&process.pid))?;
            let pid = process.pid.clone();
            let creation = rules::create(&mut *kept, epoch, process)?;
            // Its creator hears of it at once, if it is for anyone.
            if kept.rows.get(&pid).is_some_and(|row| row.share.owner.is_none()) {
                kept.call_for(&pid);
            }
            Ok(creation)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>> {
        Box::pin(async move {
            commit.check()?;
            self.lock().commit(commit)
        })
    }

    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>> {
        self.write(epoch, "park", Of::Own(pid), |kept| rules::park(kept, pid, reason))
    }

    fn load<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        self.read(move |kept| kept.rows.get(pid).map(|row| row.record.clone()))
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ProcessId>>> {
        self.read(move |kept| kept.keys.get(key).cloned())
    }

    fn termination<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Termination>>> {
        Box::pin(async move {
            let kept = self.lock();
            let Some(record) = kept.rows.get(pid).map(|row| &row.record) else { return Ok(None) };
            let refused = || refuse(StoreErrorKind::Corrupt, "read the end of", pid);
            record.termination().map_err(|error| refused().with_source(error))
        })
    }

    fn ends(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Ends>> {
        Box::pin(async move {
            let kept = self.lock();
            Ends::of(processes, |pid| Ok(kept.rows.get(pid).map(|row| &row.record)))
        })
    }

    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        self.read(move |kept| kept.page(after, most, Row::is_unfinished))
    }

    fn list(&self, states: Vec<ProcessState>, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        self.read(move |kept| kept.page(after, most, |row| states.is_empty() || states.contains(&row.record.state)))
    }

    fn search(&self, search: Search) -> BoxFuture<'_, StoreResult<Summaries>> {
        Box::pin(async move { self.lock().search(&search) })
    }

    fn look(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Looks>> {
        self.read(move |kept| {
            let processes = processes.iter().filter_map(|pid| kept.look(pid)).collect();
            Looks { processes, unreadable: Vec::new() }
        })
    }

    fn hint(&self, epoch: Epoch, hints: Vec<Hint>) -> BoxFuture<'_, StoreResult<()>> {
        self.write(epoch, "keep hints of", Of::Any, move |kept| {
            kept.hint(epoch, hints);
            Ok(())
        })
    }

    fn children<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ProcessId>>> {
        self.read(move |kept| kept.rows.get(pid).map(|row| row.children.clone()).unwrap_or_default())
    }

    fn history<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<HistoryEntry>>> {
        self.read(move |kept| kept.rows.get(pid).map(|row| row.history.iter().cloned().collect()).unwrap_or_default())
    }

    fn report<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ReportLine>>> {
        self.read(move |kept| kept.rows.get(pid).map(|row| row.report.iter().cloned().collect()).unwrap_or_default())
    }

    fn memo<'a>(&'a self, pid: &'a ProcessId, step: u64, name: &'a str) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.read(move |kept| kept.rows.get(pid)?.memos.get(&(step, name.to_owned())).cloned())
    }

    fn put_memo<'a>(
        &'a self,
        pid: &'a ProcessId,
        epoch: Epoch,
        step: u64,
        name: &'a str,
        value: String,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.write(epoch, "store a memo of", Of::Own(pid), move |kept| rules::put_memo(kept, pid, step, name, value))
    }

    fn request<'a>(&'a self, pid: &'a ProcessId, request: Request) -> BoxFuture<'a, StoreResult<RequestId>> {
        Box::pin(async move {
            let text = serde_json::to_string(&request)
                .map_err(|error| refuse(StoreErrorKind::Other, "store a request to", pid).with_source(error))?;
            let mut kept = self.lock();
            kept.last_request.0 += 1;
            let id = kept.last_request;
            kept.requests.insert(id, (pid.clone(), text));
            kept.call_for(pid);
            Ok(id)
        })
    }

    fn requests(&self, after: Option<RequestId>) -> BoxFuture<'_, StoreResult<Vec<RequestRow>>> {
        Box::pin(async move {
            let kept = self.lock();
            let later = kept.requests.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
            let row = |(&id, (pid, text)): (&RequestId, &(ProcessId, String))| {
                let request = serde_json::from_str(text).map_err(|error| error.to_string());
                RequestRow { id, pid: pid.clone(), request }
            };
            Ok(later.map(row).collect())
        })
    }

    fn discard_requests(&self, epoch: Epoch, requests: Vec<RequestId>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, "discard requests to", Of::Any)?;
            for request in requests {
                // Others apply what is asked of theirs.
                let owned = kept.owned;
                if kept.requests.get(&request).is_some_and(|(pid, _)| owned || kept.is_own(epoch, pid)) {
                    kept.requests.remove(&request);
                }
            }
            Ok(())
        })
    }

    fn owe<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reply: OwedReply) -> BoxFuture<'a, StoreResult<()>> {
        self.write(epoch, "store an owed reply of", Of::Process(pid), move |kept| rules::owe(kept, epoch, pid, reply))
    }

    fn owed(
        &self,
        after: Option<(ProcessId, String)>,
        most: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<(ProcessId, OwedReply)>>> {
        self.read(move |kept| {
            let start = after.map_or(Bound::Unbounded, |(pid, id)| Bound::Excluded((pid.to_string(), id)));
            let later = kept.owed.range((start, Bound::Unbounded)).take(most.max(1));
            later.map(|((pid, id), (address, _))| messages::owed(pid, id, address)).collect()
        })
    }

    fn settle(&self, epoch: Epoch, replies: Vec<(ProcessId, String)>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, "settle the replies of", Of::Any)?;
            for (pid, id) in replies {
                kept.owed.remove(&(pid.to_string(), id));
            }
            Ok(())
        })
    }

    fn unsent(&self, epoch: Epoch, most: usize) -> BoxFuture<'_, StoreResult<Unsent>> {
        self.write(epoch, "take over messages of", Of::Any, move |kept| Ok(kept.unsent(epoch, most)))
    }

    fn sent(&self, epoch: Epoch, messages: Vec<Uuid>) -> BoxFuture<'_, StoreResult<()>> {
        self.write(epoch, "forget messages of", Of::Any, move |kept| {
            for message in &messages {
                kept.messages.remove(message);
            }
            Ok(())
        })
    }

    fn mend(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<Mended>> {
        self.write(epoch, "mend", Of::Any, Kept::mend)
    }

    fn memos<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Memo>>> {
        self.read(move |kept| kept.rows.get(pid).map(Row::memos).unwrap_or_default())
    }

    fn placement<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Placement>> {
        self.read(move |kept| kept.rows.get(pid).map(|row| row.share.placement()).unwrap_or_default())
    }

    fn import(&self, epoch: Epoch, bundles: Vec<Bundle>) -> BoxFuture<'_, StoreResult<Creation>> {
        self.write(epoch, "import", Of::Any, move |kept| {
            let pids: Vec<_> = bundles.iter().map(|bundle| bundle.record.pid.clone()).collect();
            let creation = rules::import(kept, bundles)?;
            for pid in &pids {
                kept.call_for(pid);
            }
            Ok(creation)
        })
    }

    fn save_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.write(epoch, "save a snapshot of", Of::Process(pid), move |kept| kept.save_snapshot(pid, tag, at))
    }

    fn load_snapshot<'a>(&'a self, pid: &'a ProcessId, tag: &'a str) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        self.read(move |kept| kept.load_snapshot(pid, tag))
    }

    fn snapshots_of<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>> {
        self.read(move |kept| kept.snapshots_of(pid).collect())
    }

    fn snapshots(&self, after: Option<(ProcessId, String)>, most: usize) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>> {
        self.read(move |kept| {
            let start = after.map_or(Bound::Unbounded, |(pid, tag)| Bound::Excluded((pid.to_string(), tag)));
            let later = kept.snapshots.range((start, Bound::Unbounded)).take(most.max(1));
            later.map(|((_, tag), (at, record))| listed(record, tag, *at)).collect()
        })
    }

    fn delete_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(epoch, "delete a snapshot of", Of::Process(pid), move |kept| {
            Ok(kept.snapshots.remove(&(pid.to_string(), tag.to_owned())).is_some())
        })
    }

    fn delete_snapshots<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<u64>> {
        self.write(epoch, "delete the snapshots of", Of::Process(pid), |kept| Ok(kept.remove_snapshots(pid)))
    }

    fn restore<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Record>> {
        self.write(epoch, "restore", Of::Free(pid), move |kept| kept.restore(epoch, pid, tag, at))
    }

    fn join(&self, worker: Worker, lease: Duration) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(async move { Ok(self.lock().join(worker, lease)) })
    }

    fn renew(&self, epoch: Epoch, slots_used: u32) -> BoxFuture<'_, StoreResult<Renewed>> {
        Box::pin(async move { self.lock().renew(epoch, slots_used) })
    }

    fn ask_to_drain(&self, worker: Epoch) -> BoxFuture<'_, StoreResult<bool>> {
        Box::pin(async move { Ok(self.lock().ask_to_drain(worker)) })
    }

    fn claim(&self, epoch: Epoch, most: usize, attempts: u32) -> BoxFuture<'_, StoreResult<Claimed>> {
        Box::pin(async move { self.lock().claim(epoch, most, attempts) })
    }

    fn hand_over(&self, epoch: Epoch, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.lock().hand_over(epoch, &processes) })
    }

    fn fail<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        reason: String,
        attempts: u32,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(epoch, "give up", Of::Own(pid), move |kept| kept.fail(pid, reason, attempts))
    }

    fn unpark<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(epoch, "unpark", Of::Process(pid), |kept| kept.unpark(pid))
    }

    fn standing(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<StandingPage>> {
        self.read(move |kept| kept.standing(after, most))
    }

    fn work(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.wait_for_work(epoch))
    }

    fn workers(&self) -> BoxFuture<'_, StoreResult<Vec<WorkerRow>>> {
        self.read(Kept::workers)
    }

    fn delete<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(epoch, "delete", Of::Process(pid), |kept| rules::delete(kept, pid))
    }
}
