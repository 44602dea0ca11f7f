//! Reading: what is committed, on any connection of the pool.

use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::error::Fault;
use super::fence::still_holds;
use super::known::{Known, Memory};
use super::same::same;
use super::server::Server;
use crate::clock::Timestamp;
use crate::process::{ProcessId, ProcessState, Termination};
use crate::store::{
    End, Ends, Envelope, HistoryEntry, OwedReply, Page, Record, ReportLine, RequestId, RequestRow, Snapshot,
    StoreResult,
};

macro_rules! record {
    () => {
        "SELECT p.pid, c.process, c.version, c.format, c.fingerprint, p.key,
        (SELECT up.pid FROM process AS up WHERE up.id = p.parent), p.follows, c.state, c.paused, c.status, c.position,
        c.context, p.inputs, p.defaulted, c.outputs, c.awaiting, c.listeners,
        (SELECT count(*) FROM open_child AS o WHERE o.parent = c.id), c.steps, c.ended, c.parked, p.created_at,
        c.updated_at, p.id, c.revision FROM process AS p JOIN checkpoint AS c ON c.id = p.id "
    };
}

const LOAD: &str = concat!(record!(), "WHERE ", same!("p.pid", "$1::bytea"));

/// The same of a connection that is in a transaction.
pub(super) const LOAD_WITHIN: &str = LOAD;

const UNFINISHED: &str =
    concat!(record!(), "WHERE c.ended IS NULL AND c.parked IS NULL AND c.id > $1 ORDER BY c.id LIMIT $2");

const LIST: &str = concat!(
    record!(),
    "WHERE c.id > $1 AND (cardinality($3::text[]) = 0 OR c.state = ANY ($3)) ORDER BY c.id LIMIT $2"
);

/// What was claimed, in the order in which it is to run.
pub(super) const CLAIMED: &str = concat!(record!(), "WHERE c.id = ANY ($1::bigint[]) ORDER BY c.priority DESC, c.id");

/// The same at the end of the transaction that claims.
pub(super) const CLAIMED_WITHIN: &str = concat!(
    record!(),
    "WHERE c.id = ANY ($1::bigint[]) AND NOT EXISTS (",
    still_holds!("ARRAY[$2::bigint]"),
    ") ORDER BY c.priority DESC, c.id"
);

/// The columns of a record, from a snapshot and the row of its process.
pub(super) const SNAPSHOT: &str = concat!("SELECT p.pid, c.process, c.version, c.format, c.fingerprint, p.key,
    (SELECT up.pid FROM process AS up WHERE up.id = p.parent), p.follows, c.state, c.paused, c.status, c.position,
    c.context, p.inputs, p.defaulted, c.outputs, c.awaiting, c.listeners, c.open_children, c.steps, c.ended, NULL::bytea,
    p.created_at, c.updated_at FROM snapshot AS c JOIN process AS p ON p.id = c.process_id
    WHERE ", same!("p.pid", "$1::bytea"), " AND c.tag = $2");

/// A place after which nothing is read is bound by what fits.
pub(super) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn most(most: usize) -> i64 {
    i64::try_from(most.max(1)).unwrap_or(i64::MAX)
}

pub(super) fn text_of(pid: &ProcessId) -> Vec<u8> {
    pid.to_string().into_bytes()
}

impl Server {
    fn each<T>(
        &self,
        operation: &'static str,
        rows: &[Row],
        read: impl Fn(&Row) -> Result<T, Fault>,
    ) -> StoreResult<Vec<T>> {
        rows.iter().map(|row| read(row).map_err(|fault| self.error(operation, fault))).collect()
    }

    pub(super) async fn load(&self, pid: &ProcessId, memory: &Memory) -> StoreResult<Option<Record>> {
        const OPERATION: &str = "read a process in";
        let Some(row) = self.row(OPERATION, LOAD, &[&text_of(pid)]).await? else { return Ok(None) };
        let (record, known) = of_row(&row).map_err(|fault| self.error(OPERATION, fault))?;
        memory.learn(pid, known);
        Ok(Some(record))
    }

    pub(super) async fn find(&self, key: &str) -> StoreResult<Option<ProcessId>> {
        const OPERATION: &str = "find a process in";
        let sql = concat!("SELECT pid FROM process WHERE ", same!("key", "$1::bytea"));
        let row = self.row(OPERATION, sql, &[&key.as_bytes()]).await?;
        Ok(self.each(OPERATION, row.as_slice(), |row| pid(row, 0))?.pop())
    }

    pub(super) async fn termination(&self, pid: &ProcessId) -> StoreResult<Option<Termination>> {
        const OPERATION: &str = "read an end in";
        let sql = concat!(
            "SELECT c.ended, c.outputs FROM checkpoint AS c JOIN process AS p ON p.id = c.id
            WHERE ",
            same!("p.pid", "$1::bytea"),
            " AND c.ended IS NOT NULL"
        );
        let row = self.row(OPERATION, sql, &[&text_of(pid)]).await?;
        let termination = |row: &Row| Ok(Termination::new(json(row, 0)?, json(row, 1)?));
        Ok(self.each(OPERATION, row.as_slice(), termination)?.pop())
    }

    pub(super) async fn ends(&self, processes: Vec<ProcessId>) -> StoreResult<Ends> {
        const OPERATION: &str = "read ends in";
        let sql = concat!(
            "SELECT p.pid, c.ended, c.outputs, (SELECT up.pid FROM process AS up WHERE up.id = p.parent)
            FROM unnest($1::bytea[]) AS j(pid) JOIN process AS p ON ",
            same!("p.pid", "j.pid"),
            "
            JOIN checkpoint AS c ON c.id = p.id WHERE c.ended IS NOT NULL"
        );
        let pids: Vec<Vec<u8>> = processes.iter().map(text_of).collect();
        let mut ends = Ends::default();
        for row in &self.query(OPERATION, sql, &[&pids]).await? {
            let pid = pid(row, 0).map_err(|fault| self.error(OPERATION, fault))?;
            match end(pid.clone(), row) {
                Ok(end) => ends.ended.push(end),
                Err(fault) => ends.unreadable.push((pid, fault.to_string())),
            }
        }
        Ok(ends)
    }

    pub(super) async fn unfinished(&self, after: Option<u64>, most: usize, memory: &Memory) -> StoreResult<Page> {
        const OPERATION: &str = "list the unfinished in";
        let (after, limit) = (after.map_or(0, bound), page_limit(most));
        let rows = self.query(OPERATION, UNFINISHED, &[&after, &limit]).await?;
        page(&rows, most, memory).map_err(|fault| self.error(OPERATION, fault))
    }

    pub(super) async fn list(
        &self,
        states: &[ProcessState],
        after: Option<u64>,
        most: usize,
        memory: &Memory,
    ) -> StoreResult<Page> {
        let names: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
        let (after, limit) = (after.map_or(0, bound), page_limit(most));
        let rows = self.query("list", LIST, &[&after, &limit, &names]).await?;
        page(&rows, most, memory).map_err(|fault| self.error("list", fault))
    }

    pub(super) async fn children(&self, parent: &ProcessId) -> StoreResult<Vec<ProcessId>> {
        const OPERATION: &str = "list children in";
        let sql = concat!(
            "SELECT pid FROM process WHERE parent = (SELECT id FROM process WHERE ",
            same!("pid", "$1::bytea"),
            ")
            ORDER BY id"
        );
        let rows = self.query(OPERATION, sql, &[&text_of(parent)]).await?;
        self.each(OPERATION, &rows, |row| pid(row, 0))
    }

    pub(super) async fn history(&self, pid: &ProcessId, most: u64) -> StoreResult<Vec<HistoryEntry>> {
        const OPERATION: &str = "read a history in";
        let sql = concat!(
            "SELECT at, left_state, entered_state, steps, point FROM history
            WHERE process = (SELECT id FROM process WHERE ",
            same!("pid", "$1::bytea"),
            ") ORDER BY ordinal DESC LIMIT $2"
        );
        let rows = self.query(OPERATION, sql, &[&text_of(pid), &bound(most)]).await?;
        let mut entries = self.each(OPERATION, &rows, |row| {
            let (at, steps) = (Timestamp::from_millis(get(row, 0)?), get::<i64>(row, 3)?.cast_unsigned());
            Ok(HistoryEntry { at, from: state(row, 1)?, to: state(row, 2)?, steps, point: text(row, 4)? })
        })?;
        entries.reverse();
        Ok(entries)
    }

    pub(super) async fn report(&self, pid: &ProcessId, most: u64) -> StoreResult<Vec<ReportLine>> {
        const OPERATION: &str = "read a report in";
        let sql = concat!(
            "SELECT at, text FROM report
            WHERE process = (SELECT id FROM process WHERE ",
            same!("pid", "$1::bytea"),
            ") ORDER BY ordinal DESC LIMIT $2"
        );
        let rows = self.query(OPERATION, sql, &[&text_of(pid), &bound(most)]).await?;
        let line = |row: &Row| Ok(ReportLine { at: Timestamp::from_millis(get(row, 0)?), text: text(row, 1)? });
        let mut lines = self.each(OPERATION, &rows, line)?;
        lines.reverse();
        Ok(lines)
    }

    pub(super) async fn memo(&self, pid: &ProcessId, step: u64, name: &str) -> StoreResult<Option<String>> {
        const OPERATION: &str = "read a memo in";
        let sql = concat!(
            "SELECT value FROM memo WHERE process = (SELECT id FROM process WHERE ",
            same!("pid", "$1::bytea"),
            ")
            AND step = $2 AND sha256(name) = sha256($3)"
        );
        let row = self.row(OPERATION, sql, &[&text_of(pid), &step.cast_signed(), &name.as_bytes()]).await?;
        Ok(self.each(OPERATION, row.as_slice(), |row| text(row, 0))?.pop())
    }

    pub(super) async fn requests(&self, after: Option<RequestId>) -> StoreResult<Vec<RequestRow>> {
        const OPERATION: &str = "read requests in";
        let sql = "SELECT id, pid, request FROM request WHERE id > $1 ORDER BY id";
        let rows = self.query(OPERATION, sql, &[&after.map_or(i64::MIN, |after| after.0)]).await?;
        self.each(OPERATION, &rows, |row| {
            let request = serde_json::from_slice(get(row, 2)?).map_err(|error| error.to_string());
            Ok(RequestRow { id: RequestId(get(row, 0)?), pid: pid(row, 1)?, request })
        })
    }

    pub(super) async fn owed(
        &self,
        after: Option<&(ProcessId, String)>,
        limit: usize,
    ) -> StoreResult<Vec<(ProcessId, OwedReply)>> {
        const OPERATION: &str = "list owed replies in";
        let sql = "SELECT pid, id, address FROM owed
            WHERE $1::bytea IS NULL OR (substr(pid, 1, 64), pid, id) > (substr($1, 1, 64), $1, $2::bytea)
            ORDER BY substr(pid, 1, 64), pid, id LIMIT $3";
        let (process, id) = after_pair(after);
        let rows = self.query(OPERATION, sql, &[&process, &id, &most(limit)]).await?;
        let owed = |row: &Row| Ok((pid(row, 0)?, OwedReply { id: text(row, 1)?, address: text(row, 2)? }));
        self.each(OPERATION, &rows, owed)
    }

    pub(super) async fn load_snapshot(&self, pid: &ProcessId, tag: &str) -> StoreResult<Option<Record>> {
        const OPERATION: &str = "read a snapshot in";
        let row = self.row(OPERATION, SNAPSHOT, &[&text_of(pid), &tag.as_bytes()]).await?;
        Ok(self.each(OPERATION, row.as_slice(), record)?.pop())
    }

    pub(super) async fn snapshots_of(&self, pid: &ProcessId) -> StoreResult<Vec<Snapshot>> {
        const OPERATION: &str = "list snapshots in";
        let sql = concat!(
            "SELECT pid, tag, at, state, steps FROM snapshot
            WHERE process_id = (SELECT id FROM process WHERE ",
            same!("pid", "$1::bytea"),
            ") ORDER BY tag"
        );
        let rows = self.query(OPERATION, sql, &[&text_of(pid)]).await?;
        self.each(OPERATION, &rows, snapshot)
    }

    pub(super) async fn snapshots(
        &self,
        after: Option<&(ProcessId, String)>,
        limit: usize,
    ) -> StoreResult<Vec<Snapshot>> {
        const OPERATION: &str = "list snapshots in";
        let sql = "SELECT pid, tag, at, state, steps FROM snapshot
            WHERE $1::bytea IS NULL OR (substr(pid, 1, 64), pid, tag) > (substr($1, 1, 64), $1, $2::bytea)
            ORDER BY substr(pid, 1, 64), pid, tag LIMIT $3";
        let (process, tag) = after_pair(after);
        let rows = self.query(OPERATION, sql, &[&process, &tag, &most(limit)]).await?;
        self.each(OPERATION, &rows, snapshot)
    }
}

fn after_pair(after: Option<&(ProcessId, String)>) -> (Option<Vec<u8>>, Option<&[u8]>) {
    (after.map(|(pid, _)| text_of(pid)), after.map(|(_, id)| id.as_bytes()))
}

/// One more than asked for, to know whether there is one.
pub(super) fn page_limit(limit: usize) -> i64 {
    most(limit).saturating_add(1)
}

pub(super) fn page(rows: &[Row], most: usize, memory: &Memory) -> Result<Page, Fault> {
    let most = most.max(1);
    let mut page = Page::default();
    for row in rows.iter().take(most) {
        match of_row(row) {
            Ok((record, known)) => {
                memory.learn(&record.pid, known);
                page.records.push(record);
            }
            // One row that is damaged does not keep the others from going on.
            Err(fault) => page.unreadable.push((pid(row, 0)?, fault.to_string())),
        }
    }
    if rows.len() > most
        && let Some(last) = rows.get(most - 1)
    {
        page.next = Some(get::<i64>(last, 24)?.cast_unsigned());
    }
    Ok(page)
}

fn end(pid: ProcessId, row: &Row) -> Result<End, Fault> {
    let termination = Termination::new(json(row, 1)?, json(row, 2)?);
    Ok(End { pid, parent: optional(row, 3)?.map(ProcessId::from), termination })
}

/// A record, and where it is.
fn of_row(row: &Row) -> Result<(Record, Known), Fault> {
    let record = record(row)?;
    let known = Known { id: get(row, 24)?, revision: get(row, 25)?, child: record.parent.is_some() };
    Ok((record, known))
}

pub(super) fn record(row: &Row) -> Result<Record, Fault> {
    let number = |index| get::<i64>(row, index).map(i64::cast_unsigned);
    let version = |index| u32::try_from(get::<i64>(row, index)?).map_err(Fault::damaged);
    let listeners = text(row, 17)?;
    Ok(Record {
        pid: pid(row, 0)?,
        envelope: Envelope {
            process: text(row, 1)?,
            version: version(2)?,
            format: version(3)?,
            fingerprint: text(row, 4)?,
        },
        key: optional(row, 5)?,
        parent: optional(row, 6)?.map(ProcessId::from),
        follows: get(row, 7)?,
        state: state(row, 8)?,
        paused: get(row, 9)?,
        status: json_or_empty(row, 10)?,
        position: text(row, 11)?,
        context: text(row, 12)?,
        inputs: text(row, 13)?.into(),
        defaulted: optional(row, 14)?,
        outputs: text(row, 15)?,
        awaiting: json_or_empty(row, 16)?,
        listeners: Some(listeners).filter(|listeners| !listeners.is_empty()),
        open_children: number(18)?,
        steps: number(19)?,
        ended: optional(row, 20)?,
        parked: optional(row, 21)?,
        created_at: Timestamp::from_millis(get(row, 22)?),
        updated_at: Timestamp::from_millis(get(row, 23)?),
    })
}

fn snapshot(row: &Row) -> Result<Snapshot, Fault> {
    Ok(Snapshot {
        pid: pid(row, 0)?,
        tag: text(row, 1)?,
        at: Timestamp::from_millis(get(row, 2)?),
        state: state(row, 3)?,
        steps: get::<i64>(row, 4)?.cast_unsigned(),
    })
}

/// A column of a type that is not as the tables have it is damage.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T, Fault> {
    row.try_get(index).map_err(Fault::damaged)
}

pub(super) fn text(row: &Row, index: usize) -> Result<String, Fault> {
    utf8(get(row, index)?)
}

pub(super) fn optional(row: &Row, index: usize) -> Result<Option<String>, Fault> {
    get::<Option<&[u8]>>(row, index)?.map(utf8).transpose()
}

fn utf8(bytes: &[u8]) -> Result<String, Fault> {
    Ok(std::str::from_utf8(bytes).map_err(Fault::damaged)?.to_owned())
}

pub(super) fn pid(row: &Row, index: usize) -> Result<ProcessId, Fault> {
    text(row, index).map(ProcessId::from)
}

pub(super) fn state(row: &Row, index: usize) -> Result<ProcessState, Fault> {
    let name: &str = get(row, index)?;
    ProcessState::from_name(name).ok_or_else(|| Fault::damaged(format!("no state `{name}`")))
}

fn json<T: DeserializeOwned>(row: &Row, index: usize) -> Result<T, Fault> {
    serde_json::from_slice(get(row, index)?).map_err(Fault::damaged)
}

pub(super) fn json_or_empty<T: DeserializeOwned + Default>(row: &Row, index: usize) -> Result<T, Fault> {
    if get::<&[u8]>(row, index)?.is_empty() { Ok(T::default()) } else { json(row, index) }
}
