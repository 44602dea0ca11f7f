//! A store in memory: the reference that the others are measured by. What it keeps ends with the OS process.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rules::{self, Retention, Row, Table};
use super::snapshot::{check_number, check_tag, copy, listed};
use super::{
    Commit, Committed, Creation, Epoch, HistoryEntry, NewProcess, OwedReply, Page, Record, ReportLine, RequestId,
    RequestRow, Snapshot, Store, StoreError, StoreErrorKind, StoreResult,
};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Termination};

/// Keeps processes in memory, as texts, as the other stores do. Clones share what is kept.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    retention: Retention,
    epoch: Epoch,
    owned: bool,
    rows: HashMap<ProcessId, Row>,
    /// The ids in the order of creation.
    order: BTreeMap<u64, ProcessId>,
    /// The place of the process that was created last; none is given twice.
    last: u64,
    keys: HashMap<String, ProcessId>,
    /// By id, as text, and tag: when, and what.
    snapshots: BTreeMap<(String, String), (Timestamp, Record)>,
    requests: BTreeMap<RequestId, (ProcessId, String)>,
    /// By process, as text, and id: to where.
    owed: BTreeMap<(String, String), String>,
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
            epoch: Epoch(0),
            owned: false,
            rows: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
            keys: HashMap::new(),
            snapshots: BTreeMap::new(),
            requests: BTreeMap::new(),
            owed: BTreeMap::new(),
            last_request: RequestId(0),
        };
        Self { kept: Arc::new(Mutex::new(kept)) }
    }

    /// Every call checks before it changes anything, so a panic of another caller left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<'a, T: Send + 'a>(&'a self, read: impl FnOnce(&Kept) -> T + Send + 'a) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move { Ok(read(&self.lock())) })
    }

    /// Changes something, for the owner alone.
    fn write<'a, T: Send + 'a>(
        &'a self,
        epoch: Epoch,
        operation: &'static str,
        pid: &'a ProcessId,
        write: impl FnOnce(&mut Kept) -> StoreResult<T> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, operation, pid)?;
            write(&mut kept)
        })
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

    fn owe(&mut self, pid: &ProcessId, reply: OwedReply) -> StoreResult<()> {
        self.owed.insert((pid.to_string(), reply.id), reply.address);
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
    fn fence(&self, epoch: Epoch, operation: &'static str, subject: impl Display) -> StoreResult<()> {
        if self.owned && epoch == self.epoch {
            return Ok(());
        }
        Err(refuse(StoreErrorKind::Stale, operation, subject))
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

    fn restore(&mut self, pid: &ProcessId, tag: &str, at: Timestamp) -> StoreResult<Record> {
        let snapshot = self.load_snapshot(pid, tag);
        rules::restore(self, pid, snapshot, tag, at)
    }
}

fn corrupt(operation: &'static str, subject: impl Display, source: serde_json::Error) -> StoreError {
    refuse(StoreErrorKind::Corrupt, operation, subject).with_source(source)
}

impl Store for MemoryStore {
    fn acquire(&self) -> BoxFuture<'_, StoreResult<Epoch>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.epoch.0 += 1;
            kept.owned = true;
            Ok(kept.epoch)
        })
    }

    fn release(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.owned &= kept.epoch != epoch;
            Ok(())
        })
    }

    fn create(&self, epoch: Epoch, process: NewProcess) -> BoxFuture<'_, StoreResult<Creation>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, "create", &process.pid)?;
            rules::create(&mut *kept, process)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>> {
        Box::pin(async move {
            commit.check()?;
            let mut kept = self.lock();
            kept.fence(commit.epoch, "commit", &commit.pid)?;
            rules::commit(&mut *kept, commit)
        })
    }

    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>> {
        self.write(epoch, "park", pid, |kept| rules::park(kept, pid, reason))
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
            record.termination().map_err(|error| corrupt("read the end of", pid, error))
        })
    }

    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        self.read(move |kept| kept.page(after, most, Row::is_unfinished))
    }

    fn list(&self, states: Vec<ProcessState>, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        self.read(move |kept| kept.page(after, most, |row| states.is_empty() || states.contains(&row.record.state)))
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
        self.write(epoch, "store a memo of", pid, move |kept| rules::put_memo(kept, pid, step, name, value))
    }

    fn request<'a>(&'a self, pid: &'a ProcessId, request: Request) -> BoxFuture<'a, StoreResult<RequestId>> {
        Box::pin(async move {
            let text = serde_json::to_string(&request)
                .map_err(|error| refuse(StoreErrorKind::Other, "store a request to", pid).with_source(error))?;
            let mut kept = self.lock();
            kept.last_request.0 += 1;
            let id = kept.last_request;
            kept.requests.insert(id, (pid.clone(), text));
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
            kept.fence(epoch, "discard requests to", "any")?;
            for request in requests {
                kept.requests.remove(&request);
            }
            Ok(())
        })
    }

    fn owe<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reply: OwedReply) -> BoxFuture<'a, StoreResult<()>> {
        self.write(epoch, "store an owed reply of", pid, move |kept| rules::owe(kept, pid, reply))
    }

    fn owed(
        &self,
        after: Option<(ProcessId, String)>,
        most: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<(ProcessId, OwedReply)>>> {
        self.read(move |kept| {
            let start = after.map_or(Bound::Unbounded, |(pid, id)| Bound::Excluded((pid.to_string(), id)));
            let later = kept.owed.range((start, Bound::Unbounded)).take(most.max(1));
            let owed = |((pid, id), address): (&(String, String), &String)| {
                (ProcessId::from(pid.as_str()), OwedReply { id: id.clone(), address: address.clone() })
            };
            later.map(owed).collect()
        })
    }

    fn settle(&self, epoch: Epoch, replies: Vec<(ProcessId, String)>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, "settle the replies of", "any")?;
            for (pid, id) in replies {
                kept.owed.remove(&(pid.to_string(), id));
            }
            Ok(())
        })
    }

    fn save_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.write(epoch, "save a snapshot of", pid, move |kept| kept.save_snapshot(pid, tag, at))
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
        self.write(epoch, "delete a snapshot of", pid, move |kept| {
            Ok(kept.snapshots.remove(&(pid.to_string(), tag.to_owned())).is_some())
        })
    }

    fn delete_snapshots<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<u64>> {
        self.write(epoch, "delete the snapshots of", pid, |kept| Ok(kept.remove_snapshots(pid)))
    }

    fn restore<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Record>> {
        self.write(epoch, "restore", pid, move |kept| kept.restore(pid, tag, at))
    }

    fn delete<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(epoch, "delete", pid, |kept| rules::delete(kept, pid))
    }
}
