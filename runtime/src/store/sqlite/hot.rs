//! The statement that every boundary runs: one per set of columns that it changes, each prepared once.

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, Statement};

use super::ledger::Known;
use crate::store::Commit;

/// The columns that a boundary may leave as they are, after those that it always writes.
///
/// State and pause have indexes, and SQLite writes those of each column that is named, whether or not it changes.
const OPTIONAL: [&str; 6] = ["position", "context", "status", "awaiting", "state", "paused"];

const ALWAYS: &str = "UPDATE checkpoint SET steps = ?1, updated_at = ?2, open_children = ?3, history = ?4, \
    history_rows = ?5";

#[derive(Debug)]
pub(super) struct Boundaries<'c> {
    connection: &'c Connection,
    statements: [Option<Statement<'c>>; 1 << OPTIONAL.len()],
}

impl<'c> Boundaries<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, statements: std::array::from_fn(|_| None) }
    }

    /// Writes the row that changes at every boundary.
    pub(super) fn write(&mut self, known: &Known, commit: &Commit) -> rusqlite::Result<()> {
        let status = commit.status.as_ref().map(to_json).transpose()?;
        // A wait for nothing is no text, as in most rows.
        let awaiting = match &commit.awaiting {
            Some(awaiting) if awaiting.is_empty() => Some(None),
            Some(awaiting) => Some(Some(to_json(awaiting)?)),
            None => None,
        };
        let values = [
            commit.position.as_deref().map(ToSqlOutput::from),
            commit.context.as_deref().map(ToSqlOutput::from),
            status.as_deref().map(ToSqlOutput::from),
            awaiting
                .as_ref()
                .map(|awaiting| awaiting.as_deref().map_or(ToSqlOutput::Owned(Value::Null), ToSqlOutput::from)),
            (known.state != Some(commit.to)).then(|| commit.to.as_str().into()),
            (known.paused != Some(commit.paused)).then(|| commit.paused.into()),
        ];
        let mask = values.iter().enumerate().fold(0, |mask, (bit, value)| mask | usize::from(value.is_some()) << bit);
        let statement = match &mut self.statements[mask] {
            Some(statement) => statement,
            empty => empty.insert(self.connection.prepare(&sql(mask))?),
        };
        statement.raw_bind_parameter(1, commit.steps.cast_signed())?;
        statement.raw_bind_parameter(2, commit.at.as_millis())?;
        statement.raw_bind_parameter(3, known.open)?;
        statement.raw_bind_parameter(4, known.history.last())?;
        statement.raw_bind_parameter(5, known.history.rows())?;
        let mut next = 6;
        for value in values.into_iter().flatten() {
            statement.raw_bind_parameter(next, value)?;
            next += 1;
        }
        statement.raw_bind_parameter(next, known.id)?;
        // What is remembered of the process must be what is in the file.
        match statement.raw_execute()? {
            1 => Ok(()),
            rows => Err(rusqlite::Error::StatementChangedRows(rows)),
        }
    }
}

fn sql(mask: usize) -> String {
    let chosen = OPTIONAL.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, column)| column);
    let set: String = chosen.flat_map(|column| [", ", column, " = ?"]).collect();
    // Unnumbered parameters go on after the greatest number.
    format!("{ALWAYS}{set} WHERE id = ?")
}

fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
