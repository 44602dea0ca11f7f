//! The rules of the contract, on rows in memory: for the stores that have no engine of their own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::bundle::check_all;
use super::record::{RESTORED_FROM, some_listeners};
use super::sharing::Share;
use super::{
    Awaiting, Bundle, Commit, Committed, Creation, Epoch, HistoryEntry, Memo, Message, NewProcess, OwedReply, Parent,
    Record, ReportLine, RequestId, SavedSnapshot, StatusText, StoreError, StoreErrorKind, StoreResult,
};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState};

/// All that is kept of a process, but for its snapshots and requests.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Its place in the order of creation.
    pub(super) order: u64,
    pub(super) record: Record,
    pub(super) children: Vec<ProcessId>,
    /// Awaited children that have not ended; the record has their number.
    pub(super) open: BTreeSet<ProcessId>,
    pub(super) history: VecDeque<HistoryEntry>,
    pub(super) report: VecDeque<ReportLine>,
    pub(super) memos: BTreeMap<(u64, String), String>,
    /// Whose it is, where workers share the store.
    pub(super) share: Share,
}

/// How many transitions and lines of report of each process are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) history: usize,
    pub(super) reports: usize,
}

impl Retention {
    pub(super) fn new(history: u64, reports: u64) -> Self {
        let bound = |most| usize::try_from(most).unwrap_or(usize::MAX);
        Self { history: bound(history), reports: bound(reports) }
    }
}

/// Where rows are found and changed. A rule that fails may have changed rows before: a table whose rows can fail to be
/// read keeps its changes apart until the rule has succeeded.
pub(super) trait Table {
    fn row(&mut self, pid: &ProcessId) -> StoreResult<Option<&Row>>;
    fn row_mut(&mut self, pid: &ProcessId) -> StoreResult<Option<&mut Row>>;
    /// The process that has the key.
    fn holder(&mut self, key: &str) -> StoreResult<Option<ProcessId>>;
    /// Adds a row, at the end of the order, and its key.
    fn insert(&mut self, row: Row);
    /// Removes a row with its key, its snapshots, the requests to it and the replies that it owes.
    fn remove(&mut self, row: &Record) -> StoreResult<()>;
    fn remove_request(&mut self, request: RequestId);
    fn remove_requests_to(&mut self, pid: &ProcessId);
    /// How many replies a process owes, beside the one with this id.
    fn owes_besides(&mut self, pid: &ProcessId, id: &str) -> StoreResult<usize>;
    /// Keeps an owed reply, in the place of one with its id, for this sender.
    fn owe(&mut self, sender: Epoch, pid: &ProcessId, reply: OwedReply) -> StoreResult<()>;
    /// Keeps a message for this sender, after all others, unless it is there.
    fn post(&mut self, sender: Epoch, pid: &ProcessId, message: Message) -> StoreResult<()>;
    /// Keeps a snapshot.
    fn put_snapshot(&mut self, snapshot: SavedSnapshot) -> StoreResult<()>;
    fn retention(&self) -> Retention;
    fn refuse(&self, kind: StoreErrorKind, operation: &'static str, pid: &ProcessId) -> StoreError;
}

/// A process that may still change.
pub(super) fn open<'t>(
    table: &'t mut impl Table,
    pid: &ProcessId,
    operation: &'static str,
) -> StoreResult<&'t mut Row> {
    let refused = match table.row(pid)? {
        None => Some(StoreErrorKind::NotFound),
        Some(row) if row.record.state.is_terminal() => Some(StoreErrorKind::Ended),
        Some(_) => None,
    };
    match refused {
        Some(kind) => Err(table.refuse(kind, operation, pid)),
        None => changed(table, pid, operation),
    }
}

fn changed<'t>(table: &'t mut impl Table, pid: &ProcessId, operation: &'static str) -> StoreResult<&'t mut Row> {
    let missing = table.refuse(StoreErrorKind::NotFound, operation, pid);
    table.row_mut(pid)?.ok_or(missing)
}

/// The parent of a process, or a child. One that is damaged is as if it were not there: it does not keep the process from
/// going on.
fn relative<'t>(table: &'t mut impl Table, pid: &ProcessId) -> StoreResult<Option<&'t Row>> {
    match table.row(pid) {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => {
            tracing::warn!(%pid, error = &error as &dyn std::error::Error, "a parent or a child cannot be read");
            Ok(None)
        }
        Err(error) => Err(error),
        Ok(_) => table.row(pid),
    }
}

fn check_parent(table: &mut impl Table, process: &NewProcess, operation: &'static str) -> StoreResult<()> {
    match &process.parent {
        Some(Parent { pid, .. }) if table.row(pid)?.is_none() => {
            Err(table.refuse(StoreErrorKind::NotFound, operation, pid))
        }
        _ => Ok(()),
    }
}

fn known(table: &mut impl Table, key: Option<&str>, pid: &ProcessId) -> StoreResult<Option<Creation>> {
    let by_key = match key {
        Some(key) => table.holder(key)?,
        None => None,
    };
    let row = table.row(by_key.as_ref().unwrap_or(pid))?;
    Ok(row.map(|Row { record, .. }| Creation::Exists {
        pid: record.pid.clone(),
        process: record.envelope.process.clone(),
    }))
}

/// Adds a process, unless it is known; its parent is known.
fn add(table: &mut impl Table, epoch: Epoch, mut process: NewProcess) -> StoreResult<Creation> {
    if let Some(exists) = known(table, process.key.as_deref(), &process.pid)? {
        return Ok(exists);
    }
    for message in std::mem::take(&mut process.messages) {
        table.post(epoch, &process.pid, message)?;
    }
    let mut share = Share::new(epoch, &process.placement);
    if let Some(parent) = &process.parent
        && let Some(row) = table.row_mut(&parent.pid)?
    {
        share.belong_with(&row.share);
        row.children.push(process.pid.clone());
        if parent.awaited && !row.record.state.is_terminal() {
            row.open.insert(process.pid.clone());
            row.count_open();
        }
    }
    let row = Row::new(process, share, table.retention());
    table.insert(row);
    Ok(Creation::Created)
}

pub(super) fn create(table: &mut impl Table, epoch: Epoch, mut process: NewProcess) -> StoreResult<Creation> {
    process.check()?;
    let owes = process.owes.take();
    if let Some(exists) = known(table, process.key.as_deref(), &process.pid)? {
        if let (Some(reply), Creation::Exists { pid, .. }) = (owes, &exists) {
            owe(table, epoch, pid, reply)?;
        }
        return Ok(exists);
    }
    check_parent(table, &process, "create")?;
    let pid = process.pid.clone();
    let created = add(table, epoch, process)?;
    if let Some(reply) = owes {
        table.owe(epoch, &pid, reply)?;
    }
    Ok(created)
}

/// Keeps that a process owes a reply.
pub(super) fn owe(table: &mut impl Table, sender: Epoch, pid: &ProcessId, reply: OwedReply) -> StoreResult<()> {
    const OPERATION: &str = "store an owed reply of";
    reply.check(pid)?;
    if table.row(pid)?.is_none() {
        return Err(table.refuse(StoreErrorKind::NotFound, OPERATION, pid));
    }
    if table.owes_besides(pid, &reply.id)? >= limits::OWED {
        return Err(table.refuse(StoreErrorKind::Limit, OPERATION, pid));
    }
    table.owe(sender, pid, reply)
}

pub(super) fn commit(table: &mut impl Table, mut commit: Commit) -> StoreResult<Committed> {
    commit.check()?;
    let (pid, retention) = (commit.pid.clone(), table.retention());
    open(table, &pid, "commit")?;
    commit.children.iter().try_for_each(|child| check_parent(table, child, "commit"))?;
    // From here on only reading can fail.
    if commit.awaiting.is_some() {
        changed(table, &pid, "commit")?.close_all();
    }
    for child in std::mem::take(&mut commit.children) {
        add(table, commit.epoch, child)?;
    }
    if let Some(awaiting) = &commit.awaiting {
        // Now that those that this commit creates are there.
        await_children(table, &pid, awaiting, "commit")?;
    }
    commit.applied.iter().for_each(|request| table.remove_request(*request));
    for message in std::mem::take(&mut commit.messages) {
        table.post(commit.epoch, &pid, message)?;
    }
    let ended = commit.to.is_terminal();
    let row = changed(table, &pid, "commit")?;
    row.append(&commit, retention);
    row.change(commit);
    if !ended {
        return Ok(Committed::default());
    }
    row.close_all();
    Ok(Committed { ready_parent: leave_parent(table, &pid)? })
}

/// Whether a parent waits for children in vain, which have ended or are not there; it waits for these no more. Gives how many
/// there were.
pub(super) fn mend(table: &mut impl Table, pid: &ProcessId) -> StoreResult<u64> {
    let open = relative(table, pid)?.map(|row| row.open.clone()).unwrap_or_default();
    let mut vain = Vec::new();
    for child in open {
        // One that is damaged is there, and may be put right.
        if table.row(&child).is_ok_and(|row| row.is_none_or(|row| row.record.state.is_terminal())) {
            vain.push(child);
        }
    }
    if !vain.is_empty() {
        let row = changed(table, pid, "mend")?;
        row.open.retain(|child| !vain.contains(child));
        row.count_open();
    }
    Ok(vain.len() as u64)
}

fn await_children(
    table: &mut impl Table,
    pid: &ProcessId,
    awaiting: &Awaiting,
    operation: &'static str,
) -> StoreResult<()> {
    let mut open = Vec::new();
    for awaited in &awaiting.children {
        let child = relative(table, &awaited.pid)?.map(|child| &child.record);
        if child.is_some_and(|child| child.parent.as_ref() == Some(pid) && !child.state.is_terminal()) {
            open.push(awaited.pid.clone());
        }
    }
    let row = changed(table, pid, operation)?;
    row.open.extend(open);
    row.count_open();
    Ok(())
}

/// Removes a process that has ended from its parent's open children; gives the parent if it was the last.
fn leave_parent(table: &mut impl Table, pid: &ProcessId) -> StoreResult<Option<ProcessId>> {
    let Some(parent) = table.row(pid)?.and_then(|row| row.record.parent.clone()) else { return Ok(None) };
    if !relative(table, &parent)?.is_some_and(|row| row.open.contains(pid)) {
        return Ok(None);
    }
    let row = changed(table, &parent, "commit")?;
    row.open.remove(pid);
    row.count_open();
    Ok(row.open.is_empty().then_some(parent))
}

pub(super) fn put_memo(
    table: &mut impl Table,
    pid: &ProcessId,
    step: u64,
    name: &str,
    value: String,
) -> StoreResult<()> {
    open(table, pid, "store a memo of")?.memos.insert((step, name.to_owned()), value);
    Ok(())
}

pub(super) fn park(table: &mut impl Table, pid: &ProcessId, reason: String) -> StoreResult<()> {
    open(table, pid, "park")?.put_aside(reason);
    Ok(())
}

/// Lets a parked process go on, for whoever takes it; whether it was parked.
pub(super) fn unpark(table: &mut impl Table, pid: &ProcessId) -> StoreResult<bool> {
    const OPERATION: &str = "unpark";
    match table.row(pid)? {
        None => return Err(table.refuse(StoreErrorKind::NotFound, OPERATION, pid)),
        Some(row) if row.record.parked.is_none() => return Ok(false),
        Some(_) => {}
    }
    let row = changed(table, pid, OPERATION)?;
    row.record.parked = None;
    row.share.begin_anew(None);
    Ok(true)
}

/// Brings a process back to a snapshot; gives it as it is then.
pub(super) fn restore(
    table: &mut impl Table,
    pid: &ProcessId,
    snapshot: Option<Record>,
    tag: &str,
    at: Timestamp,
) -> StoreResult<Record> {
    const OPERATION: &str = "restore";
    let retention = table.retention();
    let Some(present) = table.row(pid)?.map(|row| row.record.clone()) else {
        return Err(table.refuse(StoreErrorKind::NotFound, OPERATION, pid));
    };
    let ended = present.state.is_terminal();
    let Some(snapshot) = snapshot else { return Err(table.refuse(StoreErrorKind::NoSnapshot, OPERATION, pid)) };
    if snapshot.state.is_terminal() {
        return Err(table.refuse(StoreErrorKind::Ended, OPERATION, pid));
    }
    if ended && is_awaited(table, &present)? {
        return Err(table.refuse(StoreErrorKind::Unfinished, OPERATION, pid));
    }
    for awaited in &snapshot.awaiting.children {
        if table.row(&awaited.pid)?.is_none() {
            return Err(table.refuse(StoreErrorKind::NotFound, OPERATION, &awaited.pid));
        }
    }
    let awaiting = snapshot.awaiting.clone();
    if ended {
        // Nobody will apply them to the life that they were meant for.
        table.remove_requests_to(pid);
    }
    let row = changed(table, pid, OPERATION)?;
    let (steps, from) = (present.steps + 1, present.state);
    row.record = Record {
        key: present.key,
        parent: present.parent,
        follows: present.follows,
        steps,
        ended: None,
        parked: None,
        updated_at: at,
        ..snapshot
    };
    row.memos.clear();
    row.close_all();
    row.push(HistoryEntry { at, from, to: row.record.state, steps, point: restored_from(tag) }, retention);
    await_children(table, pid, &awaiting, OPERATION)?;
    Ok(changed(table, pid, OPERATION)?.record.clone())
}

/// Whether a parent that has not ended waits for a process, or has yet to look at its end.
fn is_awaited(table: &mut impl Table, process: &Record) -> StoreResult<bool> {
    let Some(parent) = &process.parent else { return Ok(false) };
    let parent = relative(table, parent)?.map(|row| &row.record).filter(|parent| !parent.state.is_terminal());
    Ok(parent.is_some_and(|parent| parent.awaiting.lists(&process.pid)))
}

/// What the history says of a process that was brought back to a snapshot.
pub(super) fn restored_from(tag: &str) -> String {
    format!("{RESTORED_FROM}{tag}`")
}

/// Adds processes whole, all of them or none.
pub(super) fn import(table: &mut impl Table, bundles: Vec<Bundle>) -> StoreResult<Creation> {
    const OPERATION: &str = "import";
    check_all(&bundles)?;
    let mut given = BTreeSet::new();
    for Bundle { record, .. } in &bundles {
        if let Some(exists) = known(table, record.key.as_deref(), &record.pid)? {
            return Ok(exists);
        }
    }
    for Bundle { record, .. } in &bundles {
        if let Some(parent) = &record.parent
            && !given.contains(parent)
            && table.row(parent)?.is_none()
        {
            return Err(table.refuse(StoreErrorKind::NotFound, OPERATION, parent));
        }
        given.insert(record.pid.clone());
    }
    let mut waits = Vec::new();
    for Bundle { record, .. } in bundles.iter().filter(|bundle| !bundle.record.state.is_terminal()) {
        for child in &record.awaiting.children {
            if !given.contains(&child.pid) && table.row(&child.pid)?.is_none() {
                return Err(table.refuse(StoreErrorKind::NotFound, OPERATION, &child.pid));
            }
        }
        waits.push((record.pid.clone(), record.awaiting.clone()));
    }
    // From here on only reading can fail.
    for bundle in bundles {
        let (row, snapshots) = Row::whole(bundle, table.retention());
        if let Some(parent) = &row.record.parent
            && let Some(above) = table.row_mut(parent)?
        {
            above.children.push(row.record.pid.clone());
        }
        table.insert(row);
        for snapshot in snapshots {
            table.put_snapshot(snapshot)?;
        }
    }
    for (pid, awaiting) in waits {
        await_children(table, &pid, &awaiting, OPERATION)?;
    }
    Ok(Creation::Created)
}

/// Removes a process that has ended; whether there was one.
pub(super) fn delete(table: &mut impl Table, pid: &ProcessId) -> StoreResult<bool> {
    let Some(row) = table.row(pid)? else { return Ok(false) };
    let (record, children) = (row.record.clone(), row.children.clone());
    if !record.state.is_terminal() {
        return Err(table.refuse(StoreErrorKind::Unfinished, "delete", pid));
    }
    if let Some(parent) = &record.parent
        && let Some(row) = table.row_mut(parent)?
    {
        if !row.record.state.is_terminal() {
            return Err(table.refuse(StoreErrorKind::Unfinished, "delete", pid));
        }
        row.children.retain(|child| child != pid);
    }
    for child in &children {
        if let Some(row) = table.row_mut(child)? {
            row.record.parent = None;
        }
    }
    table.remove(&record)?;
    Ok(true)
}

impl Row {
    fn new(process: NewProcess, share: Share, retention: Retention) -> Self {
        let state = process.state();
        let begun = process.begun.map(|point| HistoryEntry {
            at: process.at,
            from: ProcessState::Created,
            to: state,
            steps: 0,
            point: point.to_owned(),
        });
        let record = Record {
            pid: process.pid,
            envelope: process.envelope,
            key: process.key,
            follows: process.parent.as_ref().is_some_and(|parent| parent.follows),
            parent: process.parent.map(|parent| parent.pid),
            state,
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
        let mut row = Self {
            order: 0,
            record,
            children: Vec::new(),
            open: BTreeSet::new(),
            history: VecDeque::new(),
            report: VecDeque::new(),
            memos: BTreeMap::new(),
            share,
        };
        if let Some(begun) = begun {
            row.push(begun, retention);
        }
        row
    }

    /// One that was given whole, which is nobody's, and its snapshots.
    fn whole(bundle: Bundle, retention: Retention) -> (Self, Vec<SavedSnapshot>) {
        let Bundle { mut record, placement, mut history, mut report, memos, snapshots } = bundle;
        record.open_children = 0;
        history.drain(..history.len().saturating_sub(retention.history));
        report.drain(..report.len().saturating_sub(retention.reports));
        let row = Self {
            order: 0,
            record,
            children: Vec::new(),
            open: BTreeSet::new(),
            history: history.into(),
            report: report.into(),
            memos: memos.into_iter().map(|memo| ((memo.step, memo.name), memo.value)).collect(),
            share: Share { queue: placement.queue, priority: placement.priority, ..Share::default() },
        };
        (row, snapshots)
    }

    pub(super) fn memos(&self) -> Vec<Memo> {
        let memo = |((step, name), value): (&(u64, String), &String)| Memo {
            step: *step,
            name: name.clone(),
            value: value.clone(),
        };
        self.memos.iter().map(memo).collect()
    }

    /// Neither terminal nor put aside.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.record.state.is_terminal() && self.record.parked.is_none()
    }

    /// Parks it: it belongs to nobody until a commit takes it back.
    pub(super) fn put_aside(&mut self, reason: String) {
        self.record.parked = Some(reason);
        self.share.owner = None;
    }

    fn count_open(&mut self) {
        self.record.open_children = self.open.len() as u64;
    }

    fn close_all(&mut self) {
        self.open.clear();
        self.count_open();
    }

    fn push(&mut self, entry: HistoryEntry, retention: Retention) {
        self.history.push_back(entry);
        self.history.drain(..self.history.len().saturating_sub(retention.history));
    }

    fn append(&mut self, commit: &Commit, retention: Retention) {
        if let Some(point) = commit.transition {
            let (at, from, to, steps) = (commit.at, commit.from, commit.to, commit.steps);
            self.push(HistoryEntry { at, from, to, steps, point: point.to_owned() }, retention);
        }
        self.report.extend(commit.report.iter().map(|text| ReportLine { at: commit.at, text: text.clone() }));
        self.report.drain(..self.report.len().saturating_sub(retention.reports));
    }

    fn change(&mut self, commit: Commit) {
        self.share.begin_anew(Some(commit.epoch).filter(|_| !commit.to.is_terminal()));
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
