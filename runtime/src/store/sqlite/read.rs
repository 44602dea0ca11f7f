//! Reading: a few connections beside the writer's, which see the last commit and never wait for the next.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::SqliteOptions;
use super::error::engine;
use super::schema;
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState, Termination};
use crate::store::{
    End, Ends, Envelope, HistoryEntry, OwedReply, Page, Record, ReportLine, RequestId, RequestRow, Snapshot,
    StoreError, StoreErrorKind, StoreResult,
};

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    options: SqliteOptions,
    read_only: bool,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    watch: Mutex<Watch>,
}

/// Watches for requests of other OS processes.
#[derive(Debug, Default)]
struct Watch {
    connection: Option<Connection>,
    /// The state of the file, and the request after which it had none.
    nothing: Option<(i64, Option<RequestId>)>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, options: SqliteOptions, read_only: bool) -> Self {
        let places = Semaphore::new(limits::READERS);
        Self { path, options, read_only, idle: Mutex::default(), places, watch: Mutex::default() }
    }

    /// Reads on a thread where blocking is allowed.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<T> {
        let closed = || StoreError::new(StoreErrorKind::Closed, operation, self.path.display());
        let _place = self.places.acquire().await.map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || readers.read_here(read)).await;
        result.map_err(|_| closed())?.map_err(|error| engine(operation, self.path.display(), error))
    }

    fn read_here<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path, &self.options, self.read_only)?,
        };
        let result = read(&connection);
        // One that failed is not used again.
        if result.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        result
    }

    /// Requests after one. Where the file has not changed since there were none, it is not even queried.
    pub(super) async fn requests(self: &Arc<Self>, after: Option<RequestId>) -> StoreResult<Vec<RequestRow>> {
        let failed = |error| engine("read requests in", self.path.display(), error);
        let quick = match self.watch.try_lock() {
            Ok(mut watch) => watch.still_nothing(after),
            Err(TryLockError::Poisoned(error)) => error.into_inner().still_nothing(after),
            Err(TryLockError::WouldBlock) => Ok(false),
        };
        if quick.map_err(failed)? {
            return Ok(Vec::new());
        }
        let readers = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || {
            let mut watch = readers.watch.lock().unwrap_or_else(PoisonError::into_inner);
            watch.look(after, || schema::open_reader(&readers.path, &readers.options, readers.read_only))
        });
        let closed = |_| StoreError::new(StoreErrorKind::Closed, "read requests in", self.path.display());
        result.await.map_err(closed)?.map_err(failed)
    }
}

impl Watch {
    fn still_nothing(&mut self, after: Option<RequestId>) -> rusqlite::Result<bool> {
        match (&self.connection, self.nothing) {
            (Some(connection), Some((version, seen))) if seen == after => Ok(data_version(connection)? == version),
            _ => Ok(false),
        }
    }

    fn look(
        &mut self,
        after: Option<RequestId>,
        open: impl FnOnce() -> rusqlite::Result<Connection>,
    ) -> rusqlite::Result<Vec<RequestRow>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(open()?),
        };
        // Before the query: what comes in between is then found by the next look.
        let version = data_version(connection)?;
        let mut query = connection.prepare_cached("SELECT id, pid, request FROM request WHERE id > ?1 ORDER BY id")?;
        let rows = query.query_map([after.map_or(i64::MIN, |after| after.0)], |row| {
            let request = serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(|error| error.to_string());
            Ok(RequestRow { id: RequestId(row.get(0)?), pid: pid(row, 1)?, request })
        })?;
        let requests = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        self.nothing = requests.is_empty().then_some((version, after));
        Ok(requests)
    }
}

/// Changes with every commit of any other connection.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

macro_rules! record {
    () => {
        "SELECT pid, process.process, version, format, fingerprint, key,
        (SELECT up.pid FROM process AS up WHERE up.id = process.parent), state, paused, status, position, context,
        inputs, outputs, awaiting, open_children, steps, ended, parked, created_at, updated_at, process.id, follows,
        defaulted, listeners
        FROM process "
    };
}

pub(super) fn load(connection: &Connection, pid: &ProcessId) -> rusqlite::Result<Option<Record>> {
    const SQL: &str = concat!(record!(), "JOIN checkpoint USING (id) WHERE pid = ?1");
    connection.prepare_cached(SQL)?.query_row([pid.to_string()], record).optional()
}

pub(super) const UNFINISHED: &str = concat!(
    record!(),
    "INDEXED BY process_unfinished CROSS JOIN checkpoint ON checkpoint.id = process.id
    WHERE ended IS NULL AND parked IS NULL AND process.id > ?1 ORDER BY process.id LIMIT ?2"
);

pub(super) fn unfinished(connection: &Connection, after: Option<u64>, most: usize) -> rusqlite::Result<Page> {
    page(connection, UNFINISHED, after, most)
}

pub(super) fn list(
    connection: &Connection,
    states: &[ProcessState],
    after: Option<u64>,
    most: usize,
) -> rusqlite::Result<Page> {
    let names: Vec<_> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
    let wanted = if states.is_empty() { String::new() } else { format!(" AND state IN ({})", names.join(", ")) };
    // By the order of creation, whatever the state.
    let sql = format!(
        "{} CROSS JOIN checkpoint ON checkpoint.id = process.id
        WHERE process.id > ?1{wanted} ORDER BY process.id LIMIT ?2",
        record!()
    );
    page(connection, &sql, after, most)
}

fn page(connection: &Connection, sql: &str, after: Option<u64>, most: usize) -> rusqlite::Result<Page> {
    let most = most.max(1);
    let after = after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX));
    // One more than asked for, to know whether there is one.
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let mut query = connection.prepare_cached(sql)?;
    let mut rows = query.query(params![after, limit])?;
    let mut page = Page::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.records.len() + page.unreadable.len() == most {
            page.next = last;
            break;
        }
        match record(row) {
            Ok(record) => page.records.push(record),
            // One row that is damaged does not keep the others from going on.
            Err(error) => page.unreadable.push((pid(row, 0)?, error.to_string())),
        }
        last = Some(row.get::<_, i64>(21)?.cast_unsigned());
    }
    Ok(page)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        pid: pid(row, 0)?,
        envelope: Envelope {
            process: row.get(1)?,
            version: row.get(2)?,
            format: row.get(3)?,
            fingerprint: row.get(4)?,
        },
        key: row.get(5)?,
        parent: row.get::<_, Option<String>>(6)?.map(ProcessId::from),
        follows: row.get(22)?,
        state: state(row, 7)?,
        paused: row.get(8)?,
        status: optional_json(row, 9)?,
        position: row.get(10)?,
        context: row.get(11)?,
        inputs: row.get_ref(12)?.as_str()?.into(),
        defaulted: row.get(23)?,
        outputs: row.get(13)?,
        awaiting: optional_json(row, 14)?,
        listeners: row.get(24)?,
        open_children: row.get::<_, i64>(15)?.cast_unsigned(),
        steps: row.get::<_, i64>(16)?.cast_unsigned(),
        ended: row.get(17)?,
        parked: row.get(18)?,
        created_at: Timestamp::from_millis(row.get(19)?),
        updated_at: Timestamp::from_millis(row.get(20)?),
    })
}

pub(super) fn find(connection: &Connection, key: &str) -> rusqlite::Result<Option<ProcessId>> {
    let mut query = connection.prepare_cached("SELECT pid FROM process WHERE key = ?1")?;
    query.query_row([key], |row| pid(row, 0)).optional()
}

pub(super) fn termination(connection: &Connection, pid: &ProcessId) -> rusqlite::Result<Option<Termination>> {
    let sql = "SELECT ended, outputs FROM process WHERE pid = ?1 AND ended IS NOT NULL";
    let mut query = connection.prepare_cached(sql)?;
    query.query_row([pid.to_string()], |row| Ok(Termination::new(json(row, 0)?, json(row, 1)?))).optional()
}

pub(super) fn ends(connection: &Connection, processes: Vec<ProcessId>) -> rusqlite::Result<Ends> {
    let sql = "SELECT ended, outputs, (SELECT pid FROM process AS up WHERE up.id = process.parent) FROM process
        WHERE pid = ?1 AND ended IS NOT NULL";
    let mut query = connection.prepare_cached(sql)?;
    let mut ends = Ends::default();
    for pid in processes {
        let end = query.query_row([pid.to_string()], |row| {
            let parent = row.get::<_, Option<String>>(2)?.map(ProcessId::from);
            Ok((Termination::new(json(row, 0)?, json(row, 1)?), parent))
        });
        match end.optional() {
            Ok(Some((termination, parent))) => ends.ended.push(End { pid, parent, termination }),
            Ok(None) => {}
            Err(error) if super::error::is_damaged(&error) => ends.unreadable.push((pid, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(ends)
}

pub(super) fn children(connection: &Connection, parent: &ProcessId) -> rusqlite::Result<Vec<ProcessId>> {
    let sql = "SELECT pid FROM process WHERE parent = (SELECT id FROM process WHERE pid = ?1) ORDER BY id";
    connection.prepare_cached(sql)?.query_map([parent.to_string()], |row| pid(row, 0))?.collect()
}

pub(super) fn history(connection: &Connection, pid: &ProcessId, most: u64) -> rusqlite::Result<Vec<HistoryEntry>> {
    // One view of the file for all rows, or the newest could be read and the oldest be gone.
    let transaction = connection.unchecked_transaction()?;
    let sql = "SELECT history FROM checkpoint JOIN process USING (id) WHERE pid = ?1";
    let mut first = transaction.prepare_cached(sql)?;
    let mut next = first.query_row([pid.to_string()], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten();
    let mut query = transaction
        .prepare_cached("SELECT previous, at, left_state, entered_state, steps, point FROM history WHERE id = ?1")?;
    let mut entries = Vec::new();
    while let Some(id) = next.filter(|_| (entries.len() as u64) < most) {
        let found = query.query_row([id], |row| Ok((row.get(0)?, entry(row)?))).optional()?;
        let Some((previous, entry)) = found else { break };
        entries.push(entry);
        next = previous;
    }
    entries.reverse();
    Ok(entries)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<HistoryEntry> {
    Ok(HistoryEntry {
        at: Timestamp::from_millis(row.get(1)?),
        from: state(row, 2)?,
        to: state(row, 3)?,
        steps: row.get::<_, i64>(4)?.cast_unsigned(),
        point: row.get(5)?,
    })
}

pub(super) fn report(connection: &Connection, pid: &ProcessId, most: u64) -> rusqlite::Result<Vec<ReportLine>> {
    let sql = "SELECT at, text FROM (SELECT ordinal, at, report.text AS text FROM report
        WHERE process = (SELECT id FROM process WHERE pid = ?1) ORDER BY ordinal DESC LIMIT ?2) ORDER BY ordinal";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let line = |row: &Row<'_>| Ok(ReportLine { at: Timestamp::from_millis(row.get(0)?), text: row.get(1)? });
    connection.prepare_cached(sql)?.query_map(params![pid.to_string(), most], line)?.collect()
}

pub(super) fn memo(
    connection: &Connection,
    pid: &ProcessId,
    step: u64,
    name: &str,
) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM memo WHERE process = (SELECT id FROM process WHERE pid = ?1) AND step = ?2
        AND name = ?3";
    let mut query = connection.prepare_cached(sql)?;
    query.query_row(params![pid.to_string(), step.cast_signed(), name], |row| row.get(0)).optional()
}

/// The columns of [`record`], from a snapshot and the row of its process.
const SNAPSHOT: &str = "SELECT snapshot.pid, snapshot.process, snapshot.version, snapshot.format,
    snapshot.fingerprint, key, (SELECT up.pid FROM process AS up WHERE up.id = process.parent), snapshot.state,
    snapshot.paused, snapshot.status, snapshot.position, snapshot.context, inputs, snapshot.outputs, snapshot.awaiting,
    snapshot.open_children, snapshot.steps, snapshot.ended, NULL, created_at, snapshot.updated_at, process.id, follows,
    defaulted, snapshot.listeners FROM snapshot JOIN process ON process.pid = snapshot.pid
    WHERE snapshot.pid = ?1 AND tag = ?2";

pub(super) fn load_snapshot(connection: &Connection, pid: &ProcessId, tag: &str) -> rusqlite::Result<Option<Record>> {
    connection.prepare_cached(SNAPSHOT)?.query_row(params![pid.to_string(), tag], record).optional()
}

pub(super) fn snapshots_of(connection: &Connection, pid: &ProcessId) -> rusqlite::Result<Vec<Snapshot>> {
    let sql = "SELECT pid, tag, at, state, steps FROM snapshot WHERE pid = ?1 ORDER BY tag";
    connection.prepare_cached(sql)?.query_map([pid.to_string()], snapshot)?.collect()
}

pub(super) fn snapshots(
    connection: &Connection,
    after: Option<&(ProcessId, String)>,
    most: usize,
) -> rusqlite::Result<Vec<Snapshot>> {
    let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
    let Some((pid, tag)) = after else {
        let sql = "SELECT pid, tag, at, state, steps FROM snapshot ORDER BY pid, tag LIMIT ?1";
        return connection.prepare_cached(sql)?.query_map([most], snapshot)?.collect();
    };
    let sql = "SELECT pid, tag, at, state, steps FROM snapshot WHERE (pid, tag) > (?1, ?2) ORDER BY pid, tag LIMIT ?3";
    connection.prepare_cached(sql)?.query_map(params![pid.to_string(), tag, most], snapshot)?.collect()
}

pub(super) fn owed(
    connection: &Connection,
    after: Option<&(ProcessId, String)>,
    most: usize,
) -> rusqlite::Result<Vec<(ProcessId, OwedReply)>> {
    let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
    let owed = |row: &Row<'_>| Ok((pid(row, 0)?, OwedReply { id: row.get(1)?, address: row.get(2)? }));
    let Some((pid, id)) = after else {
        let sql = "SELECT pid, id, address FROM owed ORDER BY pid, id LIMIT ?1";
        return connection.prepare_cached(sql)?.query_map([most], owed)?.collect();
    };
    let sql = "SELECT pid, id, address FROM owed WHERE (pid, id) > (?1, ?2) ORDER BY pid, id LIMIT ?3";
    connection.prepare_cached(sql)?.query_map(params![pid.to_string(), id, most], owed)?.collect()
}

fn snapshot(row: &Row<'_>) -> rusqlite::Result<Snapshot> {
    Ok(Snapshot {
        pid: pid(row, 0)?,
        tag: row.get(1)?,
        at: Timestamp::from_millis(row.get(2)?),
        state: state(row, 3)?,
        steps: row.get::<_, i64>(4)?.cast_unsigned(),
    })
}

pub(super) fn pid(row: &Row<'_>, index: usize) -> rusqlite::Result<ProcessId> {
    Ok(row.get_ref(index)?.as_str()?.into())
}

pub(super) fn state(row: &Row<'_>, index: usize) -> rusqlite::Result<ProcessState> {
    let name = row.get_ref(index)?.as_str()?;
    ProcessState::from_name(name).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, format!("no state `{name}`").into())
    })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    let damaged = |error: serde_json::Error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into());
    serde_json::from_str(row.get_ref(index)?.as_str()?).map_err(damaged)
}

pub(super) fn optional_json<T: DeserializeOwned + Default>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    match row.get_ref(index)? {
        rusqlite::types::ValueRef::Null => Ok(T::default()),
        _ => json(row, index),
    }
}

/// Names that were stored as JSON.
pub(super) fn names(text: &str) -> rusqlite::Result<Vec<String>> {
    serde_json::from_str(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}

/// The path by which all connections open the file, and in messages the file's name.
pub(super) fn absolute(path: &Path) -> StoreResult<PathBuf> {
    // A relative path would change its meaning with the working directory, one that starts with `file:` be a URI.
    std::path::absolute(path)
        .map_err(|error| StoreError::new(StoreErrorKind::Io, "open", path.display()).with_source(error))
}
