//! History and report: appended, and cut to what is kept.

use rusqlite::{Connection, OptionalExtension, params};

use super::ledger::{Id, Known};
use crate::clock::Timestamp;
use crate::process::ProcessState;
use crate::store::Commit;

/// The history of one process: rows that each name the one before.
///
/// It grows to twice what is kept before the older half is removed, so that a boundary seldom touches old pages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chain {
    last: Option<Id>,
    rows: u64,
    /// The newest of the older half, if it was seen.
    half: Option<Id>,
}

impl Chain {
    pub(super) fn stored(last: Option<Id>, rows: i64) -> Self {
        Self { last, rows: rows.cast_unsigned(), half: None }
    }

    pub(super) fn last(&self) -> Option<Id> {
        self.last
    }

    pub(super) fn rows(&self) -> i64 {
        self.rows.cast_signed()
    }
}

/// A row of the history.
pub(super) struct Transition<'a> {
    pub(super) at: Timestamp,
    pub(super) from: ProcessState,
    pub(super) to: ProcessState,
    pub(super) steps: u64,
    pub(super) point: &'a str,
}

pub(super) fn append_history(
    connection: &Connection,
    known: &mut Known,
    entry: &Transition<'_>,
    most: u64,
) -> rusqlite::Result<()> {
    if most == 0 {
        return Ok(());
    }
    let chain = &mut known.history;
    let mut insert = connection.prepare_cached(
        "INSERT INTO history (previous, process, at, left_state, entered_state, steps, point)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    chain.last = Some(insert.insert(params![
        chain.last,
        known.id,
        entry.at.as_millis(),
        entry.from.as_str(),
        entry.to.as_str(),
        entry.steps.cast_signed(),
        entry.point,
    ])?);
    chain.rows += 1;
    if chain.rows >= most.saturating_mul(2) {
        let half = match chain.half {
            Some(half) => Some(half),
            None => back(connection, chain.last, most)?,
        };
        remove_from(connection, half)?;
        chain.rows = most;
    }
    if chain.rows == most {
        chain.half = chain.last;
    }
    Ok(())
}

/// The row that is so many before.
fn back(connection: &Connection, from: Option<Id>, rows: u64) -> rusqlite::Result<Option<Id>> {
    let mut query = connection.prepare_cached("SELECT previous FROM history WHERE id = ?1")?;
    let mut row = from;
    for _ in 0..rows {
        let Some(id) = row else { return Ok(None) };
        row = query.query_row([id], |row| row.get(0)).optional()?.flatten();
    }
    Ok(row)
}

/// Removes a row and all before it.
pub(super) fn remove_from(connection: &Connection, from: Option<Id>) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM history WHERE id = ?1 RETURNING previous")?;
    let mut row = from;
    while let Some(id) = row {
        row = delete.query_row([id], |row| row.get(0)).optional()?.flatten();
    }
    Ok(())
}

pub(super) fn append_report(connection: &Connection, id: Id, commit: &Commit, most: u64) -> rusqlite::Result<()> {
    if commit.report.is_empty() || most == 0 {
        return Ok(());
    }
    let mut query = connection.prepare_cached("SELECT max(ordinal) FROM report WHERE process = ?1")?;
    let mut ordinal = query.query_row([id], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0);
    let mut insert = connection.prepare_cached("INSERT INTO report VALUES (?1, ?2, ?3, ?4)")?;
    for text in &commit.report {
        ordinal += 1;
        insert.execute(params![id, ordinal, commit.at.as_millis(), text])?;
    }
    let oldest = ordinal.saturating_sub(i64::try_from(most).unwrap_or(i64::MAX));
    let mut delete = connection.prepare_cached("DELETE FROM report WHERE process = ?1 AND ordinal <= ?2")?;
    delete.execute([id, oldest]).map(drop)
}
