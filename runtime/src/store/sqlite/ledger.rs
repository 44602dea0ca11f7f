//! What jobs change in the database, and what the writer remembers of it. A job is checked before its first write, so
//! that a refusal leaves nothing behind and the rest of the batch alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Statement, params};

use super::SqliteOptions;
use super::error::Fault;
use super::fence::Leases;
use super::hot::Boundaries;
use super::read::data_version;
use super::retain::{self, Chain, Transition};
use super::sharing::News;
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::record::some_listeners;
use crate::store::search::{exit_code, is_failed};
use crate::store::{
    Awaiting, Commit, Committed, Creation, Epoch, NewProcess, OwedReply, Placement, RequestId, StoreErrorKind,
};

/// The rowid of a process.
pub(super) type Id = i64;

/// What is remembered of a process: all that a boundary must know before it writes.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: Id,
    pub(super) parent: Option<Id>,
    pub(super) ended: bool,
    pub(super) parked: bool,
    /// None where what stands there is no state.
    pub(super) state: Option<ProcessState>,
    pub(super) paused: Option<bool>,
    memos: bool,
    pub(super) open: i64,
    pub(super) history: Chain,
    /// Its queue and its priority, where it has any.
    pub(super) place: Option<Arc<(String, i32)>>,
}

/// A process that was added.
struct Added {
    id: Id,
    /// By a parent that has not ended.
    awaited: bool,
}

#[derive(Debug)]
pub(super) struct Ledger<'c> {
    pub(super) connection: &'c Connection,
    begin: Option<Statement<'c>>,
    end: Option<Statement<'c>>,
    boundaries: Boundaries<'c>,
    pub(super) history: u64,
    pub(super) reports: u64,
    busy: Duration,
    /// The epoch under which this one owns the whole store.
    pub(super) owned: Option<Epoch>,
    pub(super) leases: Leases,
    pub(super) news: News,
    /// The rows of processes as of the present transaction. Only the owner changes them, so they stay true until
    /// another takes over, or a transaction is rolled back; where there is none, until another has written.
    pub(super) known: HashMap<ProcessId, Known>,
    /// Changes when another has written; looked at where the store is not owned.
    version: i64,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// It is committed.
    Done { told: bool },
    /// A lease has lapsed within: it must be done anew.
    Lapsed,
}

impl<'c> Ledger<'c> {
    pub(super) fn new(connection: &'c Connection, options: &SqliteOptions) -> Self {
        Self {
            connection,
            begin: None,
            end: None,
            boundaries: Boundaries::new(connection),
            history: options.history,
            reports: options.reports,
            busy: options.busy,
            owned: None,
            leases: Leases::default(),
            news: News::default(),
            known: HashMap::new(),
            version: 0,
        }
    }

    pub(super) fn owned(&self) -> Option<Epoch> {
        self.owned
    }

    /// Begins a transaction, and sees whether another has taken over; whether others were waited for.
    pub(super) fn begin(&mut self) -> rusqlite::Result<bool> {
        let waited = self.wait_to_begin()?;
        self.leases.clear();
        if self.owned.is_some() {
            if self.owned != Some(self.epoch()?.0) {
                self.release();
            }
        } else {
            let version = data_version(self.connection)?;
            if version != self.version {
                self.known.clear();
                self.version = version;
            }
        }
        Ok(waited)
    }

    /// SQLite's own way to wait sleeps longer and longer, and one that others keep from writing would not get its turn.
    fn wait_to_begin(&mut self) -> rusqlite::Result<bool> {
        let mut since = None;
        loop {
            match run(self.connection, &mut self.begin, "BEGIN IMMEDIATE") {
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && since.get_or_insert_with(Instant::now).elapsed() < self.busy =>
                {
                    std::thread::sleep(limits::SQLITE_TURN);
                }
                begun => return begun.map(|()| since.is_some()),
            }
        }
    }

    /// Ends a transaction, unless a lease that it relied on has lapsed.
    pub(super) fn end(&mut self) -> rusqlite::Result<End> {
        let told = self.spread_news()?;
        if !self.leases.hold() {
            return Ok(End::Lapsed);
        }
        run(self.connection, &mut self.end, "COMMIT")?;
        Ok(End::Done { told })
    }

    /// After a transaction that was rolled back.
    pub(super) fn forget(&mut self, owned: Option<Epoch>) {
        self.known.clear();
        self.news = News::default();
        self.owned = owned;
    }

    /// The latest epoch, and whether workers share the store.
    pub(super) fn epoch(&self) -> rusqlite::Result<(Epoch, bool)> {
        let mut query = self.connection.prepare_cached("SELECT epoch, shared FROM store")?;
        query.query_row([], |row| Ok((Epoch(row.get::<_, i64>(0)?.cast_unsigned()), row.get(1)?)))
    }

    pub(super) fn acquire(&mut self) -> Result<Epoch, Fault> {
        let (before, shared) = self.epoch()?;
        let epoch = Epoch(before.0 + 1);
        self.connection.execute("UPDATE store SET epoch = ?1, shared = 0", [epoch.0.cast_signed()])?;
        if shared {
            self.connection.execute_batch("DELETE FROM worker; DELETE FROM share")?;
            self.leases.clear();
        }
        self.known.clear();
        self.owned = Some(epoch);
        Ok(epoch)
    }

    pub(super) fn release(&mut self) {
        self.known.clear();
        self.owned = None;
    }

    /// Finds a process, in memory or in the database.
    pub(super) fn look_up(&mut self, pid: &ProcessId) -> rusqlite::Result<Option<&mut Known>> {
        if !self.known.contains_key(pid) {
            let mut query = self.connection.prepare_cached(KNOWN)?;
            let Some(known) = query.query_row([pid.to_string()], Known::read).optional()? else { return Ok(None) };
            if self.known.len() >= limits::KNOWN_PROCESSES {
                self.known.clear();
            }
            self.known.insert(pid.clone(), known);
        }
        Ok(self.known.get_mut(pid))
    }

    /// A process that may still change.
    pub(super) fn live(&mut self, pid: &ProcessId) -> Result<Known, Fault> {
        match self.look_up(pid)? {
            None => Err(Fault::Refused(StoreErrorKind::NotFound)),
            Some(known) if known.ended => Err(Fault::Refused(StoreErrorKind::Ended)),
            Some(known) => Ok(known.clone()),
        }
    }

    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Committed, Fault> {
        self.fence(commit.epoch)?;
        let mut known = self.live(&commit.pid)?;
        if known.parked {
            self.fence_free(commit.epoch, &known)?;
        } else {
            self.fence_own(commit.epoch, &known)?;
        }
        for child in &commit.children {
            self.check_parent(child)?;
        }
        // From here on only SQLite itself can fail.
        if let Some(point) = commit.transition {
            let Commit { at, from, to, steps, .. } = *commit;
            let entry = Transition { at, from, to, steps, point };
            retain::append_history(self.connection, &mut known, &entry, self.history)?;
        }
        if commit.awaiting.is_some() {
            self.close_children(&mut known)?;
        }
        for child in &commit.children {
            let Some(added) = self.add(commit.epoch, child)? else { continue };
            match &child.parent {
                Some(parent) if parent.pid == commit.pid && added.awaited => {
                    known.open += i64::from(self.open_child(known.id, added.id)?);
                }
                Some(parent) if added.awaited => self.await_child(&parent.pid, added.id)?,
                _ => {}
            }
        }
        if let Some(awaiting) = commit.awaiting.as_ref().filter(|awaiting| !awaiting.children.is_empty()) {
            self.await_children(&mut known, awaiting)?;
        }
        let ended = commit.to.is_terminal();
        if ended {
            self.close_children(&mut known)?;
        }
        self.boundaries.write(&known, commit)?;
        (known.state, known.paused) = (Some(commit.to), Some(commit.paused));
        self.post(commit.epoch, &commit.pid, &commit.messages)?;
        self.write_seldom(&mut known, commit)?;
        let at_once = commit.to != ProcessState::Waiting && !commit.paused;
        self.share_boundary(commit.epoch, known.id, ended, at_once)?;
        let parent = known.parent.filter(|_| ended);
        if ended || commit.to == ProcessState::Waiting {
            // One that waits is not written again soon, and there may be many.
            self.known.remove(&commit.pid);
        } else if let Some(kept) = self.known.get_mut(&commit.pid) {
            *kept = known;
        }
        match parent {
            Some(parent) => Ok(Committed { ready_parent: self.leave_parent(commit.epoch, parent, &commit.pid)? }),
            None => Ok(Committed::default()),
        }
    }

    fn write_seldom(&self, known: &mut Known, commit: &Commit) -> rusqlite::Result<()> {
        let id = known.id;
        let run = |sql: &str, text: &str| self.connection.prepare_cached(sql)?.execute(params![text, id]);
        if let Some(outputs) = &commit.outputs {
            run("UPDATE process SET outputs = ?1 WHERE id = ?2", outputs)?;
        }
        if let Some(listeners) = &commit.listeners {
            let mut update = self.connection.prepare_cached("UPDATE process SET listeners = ?1 WHERE id = ?2")?;
            update.execute(params![some_listeners(listeners), id])?;
        }
        if let Some(ended) = &commit.ended {
            let exit_code = exit_code(commit.to, Some(ended));
            let failed = is_failed(commit.to, exit_code);
            let sql = "UPDATE process SET ended = ?1, exit_code = ?2, failed = ?3 WHERE id = ?4";
            self.connection.prepare_cached(sql)?.execute(params![ended, exit_code, failed, id])?;
        }
        if let Some(envelope) = &commit.envelope {
            let sql = "UPDATE process SET process = ?1, version = ?2, format = ?3, fingerprint = ?4 WHERE id = ?5";
            let mut update = self.connection.prepare_cached(sql)?;
            update.execute(params![envelope.process, envelope.version, envelope.format, envelope.fingerprint, id])?;
        }
        if known.parked {
            self.connection.prepare_cached("UPDATE process SET parked = NULL WHERE id = ?1")?.execute([id])?;
            known.parked = false;
        }
        if commit.forget_memos && known.memos {
            self.connection.prepare_cached("DELETE FROM memo WHERE process = ?1")?.execute([id])?;
            known.memos = false;
        }
        self.remove_requests(&commit.applied)?;
        retain::append_report(self.connection, id, commit, self.reports)
    }

    fn remove_requests(&self, requests: &[RequestId]) -> rusqlite::Result<()> {
        for request in requests {
            self.connection.prepare_cached("DELETE FROM request WHERE id = ?1")?.execute([request.0])?;
        }
        Ok(())
    }

    pub(super) fn close_children(&self, known: &mut Known) -> rusqlite::Result<()> {
        if known.open > 0 {
            self.connection.prepare_cached("DELETE FROM open_child WHERE parent = ?1")?.execute([known.id])?;
            known.open = 0;
        }
        Ok(())
    }

    fn open_child(&self, parent: Id, child: Id) -> rusqlite::Result<bool> {
        let mut insert = self.connection.prepare_cached("INSERT OR IGNORE INTO open_child VALUES (?1, ?2)")?;
        insert.execute([parent, child]).map(|rows| rows == 1)
    }

    pub(super) fn await_children(&mut self, known: &mut Known, awaiting: &Awaiting) -> rusqlite::Result<()> {
        for awaited in &awaiting.children {
            if let Some(child) = self.look_up(&awaited.pid)?.cloned()
                && child.parent == Some(known.id)
                && !child.ended
            {
                known.open += i64::from(self.open_child(known.id, child.id)?);
            }
        }
        Ok(())
    }

    /// Removes a process that has ended from its parent's open children; gives the parent if it was the last.
    fn leave_parent(&mut self, epoch: Epoch, parent: Id, pid: &ProcessId) -> rusqlite::Result<Option<ProcessId>> {
        let sql = "DELETE FROM open_child WHERE parent = ?1 AND child = (SELECT id FROM process WHERE pid = ?2)";
        if self.connection.prepare_cached(sql)?.execute(params![parent, pid.to_string()])? == 0 {
            return Ok(None);
        }
        let (id, parent) = (parent, self.pid_of(parent)?);
        let open = self.add_open(&parent, -1)?;
        self.tell_parent(epoch, id)?;
        Ok((open == Some(0)).then_some(parent))
    }

    pub(super) fn pid_of(&self, id: Id) -> rusqlite::Result<ProcessId> {
        let mut query = self.connection.prepare_cached("SELECT pid FROM process WHERE id = ?1")?;
        query.query_row([id], |row| row.get(0)).map(|pid: String| pid.into())
    }

    /// Changes the number of a process's open children.
    fn add_open(&mut self, pid: &ProcessId, more: i64) -> rusqlite::Result<Option<i64>> {
        let Some(known) = self.look_up(pid)? else { return Ok(None) };
        known.open += more;
        let (open, id) = (known.open, known.id);
        let mut update = self.connection.prepare_cached("UPDATE checkpoint SET open_children = ?1 WHERE id = ?2")?;
        update.execute([open, id])?;
        // Only the first one that is open, and the last one, make a difference to when it can go on.
        if self.owned.is_none() && open == more.max(0) {
            self.look_when_due(id)?;
        }
        Ok(Some(open))
    }

    fn check_parent(&mut self, process: &NewProcess) -> Result<(), Fault> {
        match &process.parent {
            Some(parent) if self.look_up(&parent.pid)?.is_none() => Err(Fault::Refused(StoreErrorKind::NotFound)),
            _ => Ok(()),
        }
    }

    pub(super) fn create(&mut self, epoch: Epoch, process: &NewProcess) -> Result<Creation, Fault> {
        self.fence(epoch)?;
        if let Some(exists) = self.existing(process.key.as_deref(), &process.pid)? {
            if let (Some(reply), Creation::Exists { pid, .. }) = (&process.owes, &exists) {
                self.owe(epoch, pid, reply)?;
            }
            return Ok(exists);
        }
        self.check_parent(process)?;
        if let Some(reply) = &process.owes {
            self.insert_owed(epoch, &process.pid, reply)?;
        }
        if let Some(added) = self.add(epoch, process)?
            && let Some(parent) = process.parent.as_ref().filter(|_| added.awaited)
        {
            self.await_child(&parent.pid, added.id)?;
        }
        Ok(Creation::Created)
    }

    fn await_child(&mut self, parent: &ProcessId, child: Id) -> rusqlite::Result<()> {
        if let Some(id) = self.look_up(parent)?.map(|parent| parent.id)
            && self.open_child(id, child)?
        {
            self.add_open(parent, 1)?;
        }
        Ok(())
    }

    /// The process that has the key or the id.
    pub(super) fn existing(&self, key: Option<&str>, pid: &ProcessId) -> rusqlite::Result<Option<Creation>> {
        let exists =
            |row: &Row<'_>| Ok(Creation::Exists { pid: row.get::<_, String>(0)?.into(), process: row.get(1)? });
        if let Some(key) = key {
            let mut query = self.connection.prepare_cached("SELECT pid, process FROM process WHERE key = ?1")?;
            if let Some(found) = query.query_row([key], exists).optional()? {
                return Ok(Some(found));
            }
        }
        let mut query = self.connection.prepare_cached("SELECT pid, process FROM process WHERE pid = ?1")?;
        query.query_row([pid.to_string()], exists).optional()
    }

    /// Adds a process, unless it is known.
    fn add(&mut self, epoch: Epoch, process: &NewProcess) -> rusqlite::Result<Option<Added>> {
        if self.existing(process.key.as_deref(), &process.pid)?.is_some() {
            return Ok(None);
        }
        self.post(epoch, &process.pid, &process.messages)?;
        let above = match &process.parent {
            Some(parent) => self.look_up(&parent.pid)?,
            None => None,
        };
        let place = match &above {
            Some(parent) => parent.place.clone(),
            None => place(&process.placement),
        };
        let awaited = process.parent.as_ref().is_some_and(|parent| parent.awaited);
        let parent = above.map(|known| (known.id, awaited && !known.ended));
        let envelope = &process.envelope;
        let at = process.at.as_millis();
        let mut insert = self.connection.prepare_cached(INSERT_PROCESS)?;
        let id = insert.insert(params![
            process.pid.to_string(),
            process.key,
            parent.map(|(id, _)| id),
            envelope.process,
            envelope.version,
            envelope.format,
            envelope.fingerprint,
            at,
            &*process.inputs,
            process.parent.as_ref().is_some_and(|parent| parent.follows),
            process.defaulted,
            process.listeners.as_deref().and_then(some_listeners),
        ])?;
        let mut known = Known {
            id,
            parent: parent.map(|(id, _)| id),
            ended: false,
            parked: false,
            state: Some(process.state()),
            paused: Some(false),
            memos: false,
            open: 0,
            history: Chain::default(),
            place,
        };
        if let Some(point) = process.begun {
            let (from, to) = (ProcessState::Created, process.state());
            let entry = Transition { at: process.at, from, to, steps: 0, point };
            retain::append_history(self.connection, &mut known, &entry, self.history)?;
        }
        let mut insert = self.connection.prepare_cached(INSERT_CHECKPOINT)?;
        let (history, rows) = (known.history.last(), known.history.rows());
        insert.execute(params![id, process.state().as_str(), at, process.position, process.context, history, rows])?;
        if let Some((queue, priority)) = known.place.as_deref() {
            let mut insert = self.connection.prepare_cached("INSERT INTO placement VALUES (?1, ?2, ?3)")?;
            insert.execute(params![id, queue, priority])?;
        }
        self.share_new(epoch, &known, &process.placement)?;
        if self.known.len() < limits::KNOWN_PROCESSES {
            self.known.insert(process.pid.clone(), known);
        }
        Ok(Some(Added { id, awaited: parent.is_some_and(|(_, awaited)| awaited) }))
    }

    pub(super) fn park(&mut self, epoch: Epoch, pid: &ProcessId, reason: &str) -> Result<(), Fault> {
        self.fence(epoch)?;
        let known = self.live(pid)?;
        self.fence_own(epoch, &known)?;
        Ok(self.put_aside(pid, known.id, reason)?)
    }

    pub(super) fn put_memo(
        &mut self,
        epoch: Epoch,
        pid: &ProcessId,
        step: u64,
        name: &str,
        value: &str,
    ) -> Result<(), Fault> {
        self.fence(epoch)?;
        let known = self.live(pid)?;
        self.fence_own(epoch, &known)?;
        let id = known.id;
        let mut insert = self.connection.prepare_cached("INSERT OR REPLACE INTO memo VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute(params![id, step.cast_signed(), name, value])?;
        if let Some(known) = self.known.get_mut(pid) {
            known.memos = true;
        }
        Ok(())
    }

    pub(super) fn request(&mut self, pid: &ProcessId, text: &str) -> rusqlite::Result<RequestId> {
        self.tell_of(pid)?;
        let mut insert = self.connection.prepare_cached("INSERT INTO request (pid, request) VALUES (?1, ?2)")?;
        insert.insert(params![pid.to_string(), text]).map(RequestId)
    }

    pub(super) fn owe(&mut self, epoch: Epoch, pid: &ProcessId, reply: &OwedReply) -> Result<(), Fault> {
        self.fence(epoch)?;
        if self.look_up(pid)?.is_none() {
            return Err(Fault::Refused(StoreErrorKind::NotFound));
        }
        let mut others = self.connection.prepare_cached("SELECT count(*) FROM owed WHERE pid = ?1 AND id <> ?2")?;
        let others: i64 = others.query_row(params![pid.to_string(), reply.id], |row| row.get(0))?;
        if usize::try_from(others).is_ok_and(|others| others >= limits::OWED) {
            return Err(Fault::Refused(StoreErrorKind::Limit));
        }
        Ok(self.insert_owed(epoch, pid, reply)?)
    }

    fn insert_owed(&self, sender: Epoch, pid: &ProcessId, reply: &OwedReply) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO owed (pid, id, address, sender) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = self.connection.prepare_cached(sql)?;
        insert.execute(params![pid.to_string(), reply.id, reply.address, sender.0.cast_signed()]).map(drop)
    }

    pub(super) fn settle(&mut self, epoch: Epoch, replies: &[(ProcessId, String)]) -> Result<(), Fault> {
        self.fence(epoch)?;
        let mut delete = self.connection.prepare_cached("DELETE FROM owed WHERE pid = ?1 AND id = ?2")?;
        for (pid, id) in replies {
            delete.execute(params![pid.to_string(), id])?;
        }
        Ok(())
    }

    pub(super) fn discard(&mut self, epoch: Epoch, requests: &[RequestId]) -> Result<(), Fault> {
        self.fence(epoch)?;
        if self.owned.is_some() {
            return Ok(self.remove_requests(requests)?);
        }
        // Others apply what is asked of theirs.
        let mut delete = self.connection.prepare_cached(DISCARD)?;
        for request in requests {
            delete.execute([request.0, epoch.0.cast_signed()])?;
        }
        Ok(())
    }
}

impl Known {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            parent: row.get(1)?,
            ended: row.get(2)?,
            parked: row.get(3)?,
            memos: row.get(4)?,
            open: row.get(5)?,
            history: Chain::stored(row.get(6)?, row.get(7)?),
            place: match row.get::<_, Option<String>>(8)? {
                Some(queue) => Some(Arc::new((queue, row.get(9)?))),
                None => None,
            },
            state: row.get_ref(10)?.as_str().ok().and_then(ProcessState::from_name),
            paused: row.get(11).ok(),
        })
    }
}

/// Where a process belongs, if not in the queue without a name.
fn place(placement: &Placement) -> Option<Arc<(String, i32)>> {
    let Placement { queue, priority, .. } = placement;
    (!queue.is_empty() || *priority != 0).then(|| Arc::new((queue.clone(), *priority)))
}

/// Runs a statement without parameters that is prepared once.
fn run<'c>(connection: &'c Connection, statement: &mut Option<Statement<'c>>, sql: &str) -> rusqlite::Result<()> {
    let statement = match statement {
        Some(statement) => statement,
        None => statement.insert(connection.prepare(sql)?),
    };
    statement.execute([]).map(drop)
}

const KNOWN: &str = "SELECT id, parent, ended IS NOT NULL, parked IS NOT NULL,
    EXISTS (SELECT 1 FROM memo WHERE memo.process = process.id), open_children, history, history_rows,
    queue, priority, state, paused FROM process JOIN checkpoint USING (id) LEFT JOIN placement USING (id) WHERE pid = ?1";

const DISCARD: &str = "DELETE FROM request WHERE id = ?1 AND NOT EXISTS (
        SELECT 1 FROM process LEFT JOIN share USING (id)
        WHERE process.pid = request.pid AND ended IS NULL AND owner IS NOT ?2
    )";

const INSERT_PROCESS: &str =
    "INSERT INTO process (pid, key, parent, process, version, format, fingerprint, created_at, inputs, follows,
    defaulted, listeners)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const INSERT_CHECKPOINT: &str = "INSERT INTO checkpoint (id, state, updated_at, position, context, history, history_rows) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
