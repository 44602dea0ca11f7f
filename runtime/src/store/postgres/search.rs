//! Which processes there are, by what they are.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::Fault;
use super::read::{bound, get, json_or_empty, optional, pid, state, text, text_of};
use super::same::same;
use super::server::{PLAIN, Server, Session};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::search::way::{Choice, Way, at_once, merged};
use crate::store::search::{Gathering, error_line};
use crate::store::{Search, StatusText, StoreResult, Summaries, Summary, TextIs};

/// Rows that are read at once.
const CHUNK: usize = 256;
/// The same with inputs, which may be large.
const CHUNK_WITH_INPUTS: usize = 32;

impl Server {
    pub(super) async fn search(&self, search: &Search) -> StoreResult<Summaries> {
        const OPERATION: &str = "search";
        search.check(self.name())?;
        let mut patience = self.patience();
        loop {
            match self.try_search(search).await {
                Ok(page) => return Ok(page),
                Err(fault) => patience.with(fault).await.map_err(|fault| self.error(OPERATION, fault))?,
            }
        }
    }

    async fn try_search(&self, search: &Search) -> Result<Summaries, Fault> {
        let session = self.session().await?;
        let page = self.timed(async {
            session.run(PLAIN).await?;
            let mut choice = Choice::new(&search.filter, is_in_order);
            while let Some(ways) = choice.next() {
                let mut found = 0;
                for way in &ways {
                    found += Asked::of(way).count(&session).await?;
                }
                choice.counted(ways, found);
            }
            let page = gather(&session, search, &choice.take()).await?;
            session.run("COMMIT").await?;
            Ok(page)
        });
        let page = page.await?;
        session.keep();
        Ok(page)
    }
}

async fn gather(session: &Session, search: &Search, ways: &[Way]) -> Result<Summaries, Fault> {
    let mut gathering = Gathering::new(search);
    let most = at_once(ways, gathering.most(), is_in_order);
    let with_inputs = search.filter.asks_for_inputs();
    while gathering.goes_on() {
        let mut found = Vec::new();
        for way in ways {
            found.extend(Asked::of(way).read(session, search.oldest_first, gathering.place(), most).await?);
        }
        let found = merged(found, search.oldest_first, most);
        let are_all = found.len() < most;
        for ids in found.chunks(if with_inputs { CHUNK_WITH_INPUTS } else { CHUNK }) {
            let rows = if gathering.goes_on() { rows(session, ids, with_inputs).await? } else { HashMap::new() };
            for id in ids {
                if !gathering.goes_on() {
                    return Ok(gathering.more());
                }
                gathering.go_to(id.cast_unsigned());
                let Some(row) = rows.get(id) else { continue };
                // One row that is damaged keeps none of the others back.
                match summary(row).and_then(|summary| Ok((summary, text(row, 14)?))) {
                    Ok((summary, inputs)) => gathering.take(summary, &inputs),
                    Err(fault) => gathering.damaged(damaged_pid(row), fault.to_string()),
                }
            }
        }
        if are_all {
            return Ok(gathering.last());
        }
    }
    Ok(gathering.more())
}

const SUMMARY: &str =
    "SELECT p.pid, c.process, p.key, (SELECT up.pid FROM process AS up WHERE up.id = p.parent), c.state,
    c.paused, c.parked, c.status, c.steps, c.exit_code, (SELECT count(*) FROM open_child AS o WHERE o.parent = c.id),
    p.created_at, c.updated_at,
    CASE WHEN c.state IN ('excepted', 'killed') AND octet_length(c.ended) <= $2 THEN c.ended END,
    CASE WHEN $3 THEN p.inputs ELSE '{}' END, c.id
    FROM checkpoint AS c JOIN process AS p ON p.id = c.id WHERE c.id = ANY ($1::bigint[])";

async fn rows(session: &Session, ids: &[i64], with_inputs: bool) -> Result<HashMap<i64, Row>, Fault> {
    let ended = i32::try_from(limits::SUMMARY_ENDED_BYTES).unwrap_or(i32::MAX);
    let rows = session.query(SUMMARY, &[&ids, &ended, &with_inputs]).await?;
    rows.into_iter().map(|row| Ok((get(&row, 15)?, row))).collect()
}

fn summary(row: &Row) -> Result<Summary, Fault> {
    let state = state(row, 4)?;
    let StatusText { text: status, .. } = json_or_empty(row, 7)?;
    let number = |index| get::<i64>(row, index).map(i64::cast_unsigned);
    Ok(Summary {
        pid: pid(row, 0)?,
        process: text(row, 1)?,
        key: optional(row, 2)?,
        parent: optional(row, 3)?.map(ProcessId::from),
        state,
        paused: get(row, 5)?,
        parked: optional(row, 6)?,
        status,
        steps: number(8)?,
        exit_code: get(row, 9)?,
        error: error_line(state, optional(row, 13)?.as_deref()).map_err(Fault::damaged)?,
        open_children: number(10)?,
        created_at: Timestamp::from_millis(get(row, 11)?),
        updated_at: Timestamp::from_millis(get(row, 12)?),
    })
}

/// One whose id is damaged, too, is told by what can be read of it.
fn damaged_pid(row: &Row) -> ProcessId {
    get::<&[u8]>(row, 0).map(String::from_utf8_lossy).unwrap_or_default().as_ref().into()
}

/// Of running ones, several indexes tell; and where names or times are told by pages, a row of them stands anywhere. For
/// names that begin so, each process is looked at.
fn is_in_order(way: &Way) -> bool {
    let is_running = matches!(way, Way::State(ProcessState::Running));
    !is_running && !matches!(way, Way::Name(TextIs::Equal(_)) | Way::Id(_) | Way::Key(_) | Way::Created(..))
}

/// A question for ids, by an index. Where others would do, too, the planner shall not go through the ids in their order
/// instead of what is looked up: of the tables it may know nothing.
struct Asked {
    by: By,
    values: Vec<Value>,
}

type Value = Box<dyn ToSql + Send + Sync>;

enum By {
    /// An index over ids alone, of those in a table that meet a condition.
    Id { table: &'static str, condition: &'static str },
    /// An index over a column and ids, with the value that is looked for.
    Column { table: &'static str, column: &'static str, value: &'static str },
    /// An index over a column alone, from one value to another.
    Range { table: &'static str, condition: &'static str },
    /// An index that knows what pages have, but not which of their rows: the server looks up pages, which it otherwise shall
    /// not do.
    Pages { table: &'static str, condition: &'static str },
}

fn of_state(state: ProcessState) -> By {
    let checkpoint = "checkpoint";
    match state {
        ProcessState::Created => By::Id { table: checkpoint, condition: "state = 'created'" },
        ProcessState::Waiting => By::Id { table: checkpoint, condition: "state = 'waiting'" },
        ProcessState::Killed => By::Id { table: checkpoint, condition: "state = 'killed'" },
        ProcessState::Excepted => By::Id { table: checkpoint, condition: "failed" },
        ProcessState::Finished => By::Id { table: "process", condition: "true" },
        ProcessState::Running => By::Range { table: RUNNING, condition: "true" },
    }
}

/// Those that run, and some others.
const RUNNING: &str = "(
    SELECT id FROM checkpoint WHERE due = 0 UNION ALL SELECT id FROM checkpoint WHERE paused
    UNION ALL SELECT id FROM checkpoint WHERE ended IS NULL AND parked IS NOT NULL
) AS running";

/// As many bytes of texts as the indexes have.
const BYTES: usize = 64;

impl Asked {
    fn of(way: &Way) -> Self {
        let checkpoint = "checkpoint";
        let bounds = |text: &TextIs| -> Vec<Value> {
            let (from, to) = text.bounds(BYTES);
            vec![Box::new(from), Box::new(to)]
        };
        let none = Vec::new;
        let (by, values): (By, Vec<Value>) = match way {
            Way::Every | Way::Name(TextIs::Prefix(_)) => (By::Id { table: "process", condition: "true" }, none()),
            Way::Failed => (By::Id { table: checkpoint, condition: "failed" }, none()),
            Way::Paused => (By::Id { table: checkpoint, condition: "paused" }, none()),
            Way::Parked => (By::Id { table: checkpoint, condition: "ended IS NULL AND parked IS NOT NULL" }, none()),
            Way::State(state) => (of_state(*state), none()),
            Way::Parent(pid) => {
                let value = concat!("(SELECT up.id FROM process AS up WHERE ", same!("up.pid", "$1::bytea"), ")");
                let by = By::Column { table: "process", column: "parent", value };
                (by, vec![Box::new(text_of(pid))])
            }
            Way::Name(TextIs::Equal(name)) => {
                let by = By::Pages { table: checkpoint, condition: "process = $1::bytea" };
                (by, vec![Box::new(name.clone().into_bytes())])
            }
            Way::Id(text) => {
                let condition = "substr(pid, 1, 64) >= $1::bytea AND substr(pid, 1, 64) < $2::bytea";
                (By::Range { table: "process", condition }, bounds(text))
            }
            Way::Key(text) => {
                let condition =
                    "key IS NOT NULL AND substr(key, 1, 64) >= $1::bytea AND substr(key, 1, 64) < $2::bytea";
                (By::Range { table: "process", condition }, bounds(text))
            }
            Way::Created(first, last) => {
                let condition = "created_at >= $1::bigint AND created_at <= $2::bigint";
                (By::Pages { table: "process", condition }, vec![Box::new(*first), Box::new(*last)])
            }
        };
        Self { by, values }
    }

    /// How many there are; one more than may be read is enough to know.
    async fn count(self, session: &Session) -> Result<usize, Fault> {
        let most = bound(limits::SEARCHED as u64 + 1);
        let limit = self.values.len() + 1;
        let (table, condition) = match &self.by {
            By::Id { table, condition } | By::Range { table, condition } | By::Pages { table, condition } => {
                (*table, (*condition).to_owned())
            }
            By::Column { table, column, value } => (*table, format!("{column} = {value}")),
        };
        let sql = format!("SELECT count(*) FROM (SELECT FROM {table} WHERE {condition} LIMIT ${limit}) AS found");
        let rows = self.query(session, &sql, &[&most]).await?;
        let count: i64 = rows.first().map(|row| get(row, 0)).transpose()?.unwrap_or_default();
        Ok(usize::try_from(count).unwrap_or_default())
    }

    async fn read(
        self,
        session: &Session,
        oldest_first: bool,
        after: Option<u64>,
        most: usize,
    ) -> Result<Vec<i64>, Fault> {
        let sql = self.sql(oldest_first);
        let after = after.map_or(if oldest_first { i64::MIN } else { i64::MAX }, bound);
        let most = bound(most as u64);
        let rows = self.query(session, &sql, &[&after, &most]).await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    fn sql(&self, oldest_first: bool) -> String {
        let (after, most) = (self.values.len() + 1, self.values.len() + 2);
        let (beyond, within, order) = if oldest_first { (">", "<=", "ASC") } else { ("<", ">=", "DESC") };
        match &self.by {
            By::Id { table, condition } => format!(
                "SELECT id FROM {table} WHERE {condition} AND id {beyond} ${after} ORDER BY id {order} LIMIT ${most}"
            ),
            By::Column { table, column, value } => format!(
                "SELECT id FROM {table} WHERE ({column}, id) {beyond} ({value}, ${after}::bigint)
                AND {column} {within} {value} ORDER BY {column} {order}, id {order} LIMIT ${most}"
            ),
            By::Range { table, condition } | By::Pages { table, condition } => format!(
                "WITH found AS MATERIALIZED (SELECT id FROM {table} WHERE {condition})
                SELECT id FROM found WHERE id {beyond} ${after} ORDER BY id {order} LIMIT ${most}"
            ),
        }
    }

    async fn query(&self, session: &Session, sql: &str, others: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fault> {
        let values = self.values.iter().map(|value| &**value as &(dyn ToSql + Sync));
        let parameters: Vec<_> = values.chain(others.iter().copied()).collect();
        if !matches!(self.by, By::Pages { .. }) {
            return session.query(sql, &parameters).await;
        }
        session.run("SET LOCAL enable_bitmapscan TO on").await?;
        let rows = session.query(sql, &parameters).await?;
        session.run("SET LOCAL enable_bitmapscan TO off").await?;
        Ok(rows)
    }
}
