//! A store in memory: the reference that the others are measured by. What it keeps ends with the OS process.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::some_listeners;
use super::{
    Awaiting, Commit, Committed, Creation, Epoch, HistoryEntry, NewProcess, Page, Record, ReportLine, RequestId,
    RequestRow, StatusText, Store, StoreError, StoreErrorKind, StoreResult,
};
use crate::limits;
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Termination};

/// Keeps processes in memory, as texts, as the other stores do. Clones share what is kept.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    history: usize,
    reports: usize,
    epoch: Epoch,
    owned: bool,
    /// In the order of creation; nothing is ever removed, so that an index names a process.
    rows: Vec<Row>,
    pids: HashMap<ProcessId, usize>,
    keys: HashMap<String, usize>,
    requests: BTreeMap<RequestId, (ProcessId, String)>,
    last_request: RequestId,
}

#[derive(Debug)]
struct Row {
    record: Record,
    children: Vec<ProcessId>,
    open: BTreeSet<ProcessId>,
    history: VecDeque<HistoryEntry>,
    report: VecDeque<ReportLine>,
    memos: BTreeMap<(u64, String), String>,
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
        let bound = |most| usize::try_from(most).unwrap_or(usize::MAX);
        let kept = Kept {
            history: bound(history),
            reports: bound(reports),
            epoch: Epoch(0),
            owned: false,
            rows: Vec::new(),
            pids: HashMap::new(),
            keys: HashMap::new(),
            requests: BTreeMap::new(),
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
}

fn refuse(kind: StoreErrorKind, operation: &'static str, subject: impl Display) -> StoreError {
    StoreError::new(kind, operation, format_args!("process `{subject}` in memory"))
}

impl Kept {
    fn fence(&self, epoch: Epoch, operation: &'static str, subject: impl Display) -> StoreResult<()> {
        if self.owned && epoch == self.epoch {
            return Ok(());
        }
        Err(refuse(StoreErrorKind::Stale, operation, subject))
    }

    fn row(&self, pid: &ProcessId) -> Option<&Row> {
        self.pids.get(pid).map(|&at| &self.rows[at])
    }

    /// The index of a process that may still change.
    fn open(&self, pid: &ProcessId, operation: &'static str) -> StoreResult<usize> {
        let Some(&at) = self.pids.get(pid) else { return Err(refuse(StoreErrorKind::NotFound, operation, pid)) };
        if self.rows[at].record.state.is_terminal() {
            return Err(refuse(StoreErrorKind::Ended, operation, pid));
        }
        Ok(at)
    }

    fn known(&self, process: &NewProcess) -> Option<usize> {
        let by_key = process.key.as_ref().and_then(|key| self.keys.get(key));
        by_key.or_else(|| self.pids.get(&process.pid)).copied()
    }

    fn check_parent(&self, process: &NewProcess, operation: &'static str) -> StoreResult<()> {
        match &process.parent {
            Some(parent) if !self.pids.contains_key(&parent.pid) => {
                Err(refuse(StoreErrorKind::NotFound, operation, &parent.pid))
            }
            _ => Ok(()),
        }
    }

    /// Adds a process, unless it is known; its parent is known.
    fn add(&mut self, process: NewProcess) -> Creation {
        if let Some(at) = self.known(&process) {
            let record = &self.rows[at].record;
            return Creation::Exists { pid: record.pid.clone(), process: record.envelope.process.clone() };
        }
        let at = self.rows.len();
        self.pids.insert(process.pid.clone(), at);
        if let Some(key) = &process.key {
            self.keys.insert(key.clone(), at);
        }
        if let Some(parent) = &process.parent
            && let Some(&index) = self.pids.get(&parent.pid)
        {
            let parent_row = &mut self.rows[index];
            parent_row.children.push(process.pid.clone());
            if parent.awaited && !parent_row.record.state.is_terminal() {
                parent_row.open.insert(process.pid.clone());
                parent_row.record.open_children = parent_row.open.len() as u64;
            }
        }
        self.rows.push(Row::new(process));
        Creation::Created
    }

    fn create(&mut self, epoch: Epoch, process: NewProcess) -> StoreResult<Creation> {
        self.fence(epoch, "create", &process.pid)?;
        if self.known(&process).is_none() {
            self.check_parent(&process, "create")?;
        }
        Ok(self.add(process))
    }

    fn commit(&mut self, commit: Commit) -> StoreResult<Committed> {
        commit.check()?;
        self.fence(commit.epoch, "commit", &commit.pid)?;
        let at = self.open(&commit.pid, "commit")?;
        commit.children.iter().try_for_each(|child| self.check_parent(child, "commit"))?;
        // From here on nothing can fail.
        self.set_open(at, commit.awaiting.as_ref());
        for child in commit.children.iter().cloned() {
            self.add(child);
        }
        if let Some(awaiting) = &commit.awaiting {
            // Once more: some of those awaited were created by this commit.
            self.await_children(at, awaiting);
        }
        for request in &commit.applied {
            self.requests.remove(request);
        }
        let ended = commit.to.is_terminal();
        let (history, reports) = (self.history, self.reports);
        let row = &mut self.rows[at];
        row.append(&commit, history, reports);
        row.change(commit);
        if !ended {
            return Ok(Committed::default());
        }
        row.open.clear();
        row.record.open_children = 0;
        Ok(Committed { ready_parent: self.leave_parent(at) })
    }

    /// Forgets the awaited children where the list of them is replaced.
    fn set_open(&mut self, at: usize, awaiting: Option<&Awaiting>) {
        if awaiting.is_some() {
            self.rows[at].open.clear();
            self.rows[at].record.open_children = 0;
        }
    }

    fn await_children(&mut self, at: usize, awaiting: &Awaiting) {
        for awaited in &awaiting.children {
            let open = self.row(&awaited.pid).is_some_and(|child| {
                child.record.parent.as_ref() == Some(&self.rows[at].record.pid) && !child.record.state.is_terminal()
            });
            if open {
                self.rows[at].open.insert(awaited.pid.clone());
            }
        }
        self.rows[at].record.open_children = self.rows[at].open.len() as u64;
    }

    /// Removes a process that has ended from its parent's open children; gives the parent if it was the last.
    fn leave_parent(&mut self, at: usize) -> Option<ProcessId> {
        let record = &self.rows[at].record;
        let pid = record.pid.clone();
        let parent = self.pids.get(record.parent.as_ref()?).copied()?;
        let parent = &mut self.rows[parent];
        if !parent.open.remove(&pid) {
            return None;
        }
        parent.record.open_children = parent.open.len() as u64;
        parent.open.is_empty().then(|| parent.record.pid.clone())
    }

    fn unfinished(&self, after: Option<u64>, most: usize) -> Page {
        let start = after.map_or(0, |after| usize::try_from(after).map_or(usize::MAX, |after| after.saturating_add(1)));
        let mut page = Page::default();
        for (at, row) in self.rows.iter().enumerate().skip(start) {
            if row.record.state.is_terminal() || row.record.parked.is_some() {
                continue;
            }
            if page.records.len() == most.max(1) {
                return page;
            }
            page.records.push(row.record.clone());
            page.next = Some(at as u64);
        }
        page.next = None;
        page
    }
}

impl Row {
    fn new(process: NewProcess) -> Self {
        let record = Record {
            pid: process.pid,
            envelope: process.envelope,
            key: process.key,
            follows: process.parent.as_ref().is_some_and(|parent| parent.follows),
            parent: process.parent.map(|parent| parent.pid),
            state: ProcessState::Created,
            paused: false,
            status: StatusText::default(),
            position: process.position,
            context: process.context,
            inputs: process.inputs,
            defaulted: process.defaulted,
            outputs: "{}".to_owned(),
            awaiting: Awaiting::default(),
            listeners: process.listeners.as_deref().and_then(some_listeners).map(str::to_owned),
            open_children: 0,
            steps: 0,
            ended: None,
            parked: None,
            created_at: process.at,
            updated_at: process.at,
        };
        Self {
            record,
            children: Vec::new(),
            open: BTreeSet::new(),
            history: VecDeque::new(),
            report: VecDeque::new(),
            memos: BTreeMap::new(),
        }
    }

    fn append(&mut self, commit: &Commit, history: usize, reports: usize) {
        if let Some(point) = commit.transition {
            let (at, from, to, steps) = (commit.at, commit.from, commit.to, commit.steps);
            self.history.push_back(HistoryEntry { at, from, to, steps, point: point.to_owned() });
        }
        self.report.extend(commit.report.iter().map(|text| ReportLine { at: commit.at, text: text.clone() }));
        self.history.drain(..self.history.len().saturating_sub(history));
        self.report.drain(..self.report.len().saturating_sub(reports));
    }

    fn change(&mut self, commit: Commit) {
        let record = &mut self.record;
        record.state = commit.to;
        record.paused = commit.paused;
        record.steps = commit.steps;
        record.updated_at = commit.at;
        record.parked = None;
        replace(&mut record.envelope, commit.envelope);
        replace(&mut record.position, commit.position);
        replace(&mut record.context, commit.context);
        replace(&mut record.outputs, commit.outputs);
        replace(&mut record.status, commit.status);
        replace(&mut record.awaiting, commit.awaiting);
        if let Some(listeners) = commit.listeners {
            record.listeners = some_listeners(&listeners).map(str::to_owned);
        }
        record.ended = commit.ended;
        if commit.forget_memos {
            self.memos.clear();
        }
    }
}

fn replace<T>(kept: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *kept = new;
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
        Box::pin(async move { self.lock().create(epoch, process) })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>> {
        Box::pin(async move { self.lock().commit(commit) })
    }

    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let mut kept = self.lock();
            kept.fence(epoch, "park", pid)?;
            let at = kept.open(pid, "park")?;
            kept.rows[at].record.parked = Some(reason);
            Ok(())
        })
    }

    fn load<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        self.read(move |kept| kept.row(pid).map(|row| row.record.clone()))
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ProcessId>>> {
        self.read(move |kept| kept.keys.get(key).map(|&at| kept.rows[at].record.pid.clone()))
    }

    fn termination<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Termination>>> {
        Box::pin(async move {
            let kept = self.lock();
            let Some(record) = kept.row(pid).map(|row| &row.record) else { return Ok(None) };
            let Some(ended) = &record.ended else { return Ok(None) };
            let ended = serde_json::from_str(ended).map_err(|error| corrupt("read the end of", pid, error))?;
            let outputs =
                serde_json::from_str(&record.outputs).map_err(|error| corrupt("read the outputs of", pid, error))?;
            Ok(Some(Termination::new(ended, outputs)))
        })
    }

    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        self.read(move |kept| kept.unfinished(after, most))
    }

    fn children<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ProcessId>>> {
        self.read(move |kept| kept.row(pid).map(|row| row.children.clone()).unwrap_or_default())
    }

    fn history<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<HistoryEntry>>> {
        self.read(move |kept| kept.row(pid).map(|row| row.history.iter().cloned().collect()).unwrap_or_default())
    }

    fn report<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ReportLine>>> {
        self.read(move |kept| kept.row(pid).map(|row| row.report.iter().cloned().collect()).unwrap_or_default())
    }

    fn memo<'a>(&'a self, pid: &'a ProcessId, step: u64, name: &'a str) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.read(move |kept| kept.row(pid)?.memos.get(&(step, name.to_owned())).cloned())
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
            let mut kept = self.lock();
            kept.fence(epoch, "store a memo of", pid)?;
            let at = kept.open(pid, "store a memo of")?;
            kept.rows[at].memos.insert((step, name.to_owned()), value);
            Ok(())
        })
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
}
