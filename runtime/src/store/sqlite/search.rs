//! Which processes there are, by what they are.

use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::error::is_damaged;
use super::read::{optional_json, pid, state};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::ProcessId;
use crate::store::search::way::{Choice, Way, Ways, at_once, merged};
use crate::store::search::{Gathering, error_line};
use crate::store::{Search, StatusText, Summaries, Summary, TextIs};

pub(super) fn search(connection: &Connection, search: &Search) -> rusqlite::Result<Summaries> {
    // One view of the file for all that is read.
    let connection = &*connection.unchecked_transaction()?;
    let mut choice = Choice::new(&search.filter, is_in_order);
    while let Some(ways) = choice.next() {
        let mut found = 0;
        for way in &ways {
            found += Asked::of(way).count(connection)?;
        }
        choice.counted(ways, found);
    }
    gather(connection, search, &choice.take())
}

fn gather(connection: &Connection, search: &Search, ways: &Ways) -> rusqlite::Result<Summaries> {
    let mut gathering = Gathering::new(search);
    let most = at_once(ways, gathering.most(), is_in_order);
    let sql = summary_sql(search.filter.asks_for_inputs());
    let mut query = connection.prepare_cached(&sql)?;
    while gathering.goes_on() {
        let mut found = Vec::new();
        for way in ways {
            Asked::of(way).read(connection, search.oldest_first, gathering.place(), most, &mut found)?;
        }
        let found = merged(found, search.oldest_first, most);
        let are_all = found.len() < most;
        for id in found {
            if !gathering.goes_on() {
                return Ok(gathering.more());
            }
            gathering.go_to(id.cast_unsigned());
            let look = |row: &Row<'_>| {
                match summary(row) {
                    Ok(summary) => gathering.take(summary, row.get_ref(14)?.as_str()?),
                    // One row that is damaged keeps none of the others back.
                    Err(error) if is_damaged(&error) => gathering.damaged(damaged_pid(row), error.to_string()),
                    Err(error) => return Err(error),
                }
                Ok(())
            };
            query.query_row([id], look).optional()?;
        }
        if are_all {
            return Ok(gathering.last());
        }
    }
    Ok(gathering.more())
}

fn summary_sql(with_inputs: bool) -> String {
    let inputs = if with_inputs { "inputs" } else { "'{}'" };
    format!(
        "SELECT pid, process.process, key, (SELECT up.pid FROM process AS up WHERE up.id = process.parent), state,
        paused, parked, status, steps, exit_code, open_children, created_at, updated_at,
        CASE WHEN state IN ('excepted', 'killed') AND octet_length(ended) <= {} THEN ended END, {inputs}
        FROM process JOIN checkpoint USING (id) WHERE process.id = ?1",
        limits::SUMMARY_ENDED_BYTES
    )
}

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let state = state(row, 4)?;
    let StatusText { text: status, .. } = optional_json(row, 7)?;
    let damaged = |error: serde_json::Error| rusqlite::Error::FromSqlConversionFailure(13, Type::Text, error.into());
    let error = error_line(state, row.get::<_, Option<String>>(13)?.as_deref()).map_err(damaged)?;
    Ok(Summary {
        pid: pid(row, 0)?,
        process: row.get(1)?,
        key: row.get(2)?,
        parent: row.get::<_, Option<String>>(3)?.map(ProcessId::from),
        state,
        paused: row.get(5)?,
        parked: row.get(6)?,
        status,
        steps: row.get::<_, i64>(8)?.cast_unsigned(),
        exit_code: row.get(9)?,
        error,
        open_children: row.get::<_, i64>(10)?.cast_unsigned(),
        created_at: Timestamp::from_millis(row.get(11)?),
        updated_at: Timestamp::from_millis(row.get(12)?),
    })
}

/// One whose id is damaged, too, is told by what can be read of it.
fn damaged_pid(row: &Row<'_>) -> ProcessId {
    let bytes = row.get_ref(0).ok().and_then(|id| id.as_bytes().ok().map(String::from_utf8_lossy));
    bytes.unwrap_or_default().as_ref().into()
}

fn is_in_order(way: &Way) -> bool {
    !matches!(way, Way::Name(TextIs::Prefix(_)) | Way::Id(_) | Way::Key(_) | Way::Created(..))
}

/// A question for ids, by an index.
struct Asked {
    /// The table, and the index where another one would do, too.
    from: &'static str,
    condition: &'static str,
    values: Vec<Value>,
    is_in_order: bool,
}

/// Bytes of a text are bound as they are: the first text after all others is none.
macro_rules! between {
    ($column:literal) => {
        concat!($column, " >= CAST(?1 AS TEXT) AND ", $column, " < CAST(?2 AS TEXT)")
    };
}

impl Asked {
    fn of(way: &Way) -> Self {
        let bounds = |text: &TextIs| {
            let (from, to) = text.bounds(usize::MAX);
            vec![Value::Blob(from), Value::Blob(to)]
        };
        let (from, condition, values) = match way {
            Way::Every => ("process", "true", Vec::new()),
            Way::State(state) => {
                let name = Value::Text(state.as_str().to_owned());
                ("checkpoint INDEXED BY checkpoint_state", "state = ?1", vec![name])
            }
            Way::Failed => ("process INDEXED BY process_failed", "failed <> 0", Vec::new()),
            Way::Parked => ("process INDEXED BY process_parked", "parked IS NOT NULL", Vec::new()),
            Way::Paused => ("checkpoint INDEXED BY checkpoint_paused", "paused <> 0", Vec::new()),
            Way::Parent(pid) => {
                let condition = "parent = (SELECT up.id FROM process AS up WHERE up.pid = ?1)";
                ("process INDEXED BY process_parent", condition, vec![Value::Text(pid.to_string())])
            }
            Way::Name(TextIs::Equal(name)) => {
                ("process INDEXED BY process_name", "process = ?1", vec![Value::Text(name.clone())])
            }
            Way::Name(text) => ("process INDEXED BY process_name", between!("process"), bounds(text)),
            Way::Id(text) => ("process", between!("pid"), bounds(text)),
            Way::Key(text) => ("process INDEXED BY process_key", between!("key"), bounds(text)),
            Way::Created(first, last) => {
                let values = vec![Value::Integer(*first), Value::Integer(*last)];
                ("process INDEXED BY process_created", "created_at BETWEEN ?1 AND ?2", values)
            }
        };
        Self { from, condition, values, is_in_order: is_in_order(way) }
    }

    /// How many there are; one more than may be read is enough to know.
    fn count(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let Self { from, condition, values, .. } = self;
        let sql =
            format!("SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {condition} LIMIT {})", limits::SEARCHED + 1);
        let count: u32 = connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn read(
        self,
        connection: &Connection,
        oldest_first: bool,
        after: Option<u64>,
        most: usize,
        found: &mut Vec<i64>,
    ) -> rusqlite::Result<()> {
        let sql = self.sql(oldest_first);
        let beyond = if oldest_first { i64::MIN } else { i64::MAX };
        let after = after.map_or(beyond, |after| i64::try_from(after).unwrap_or(i64::MAX));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = self.values.into_iter().chain([Value::Integer(after), Value::Integer(most)]);
        let mut query = connection.prepare_cached(&sql)?;
        let mut rows = query.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            found.push(row.get(0)?);
        }
        Ok(())
    }

    fn sql(&self, oldest_first: bool) -> String {
        let Self { from, condition, values, is_in_order } = self;
        let (sign, order) = if oldest_first { (">", "ASC") } else { ("<", "DESC") };
        // The planner shall not go through the ids in their order instead of what is looked up.
        let id = if *is_in_order { "id" } else { "+id" };
        let (after, most) = (values.len() + 1, values.len() + 2);
        format!("SELECT id FROM {from} WHERE {condition} AND {id} {sign} ?{after} ORDER BY {id} {order} LIMIT ?{most}")
    }
}
