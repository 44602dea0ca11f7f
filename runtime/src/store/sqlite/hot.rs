//! The statement that every boundary runs: one per set of columns that it changes, each prepared once.

use rusqlite::{Connection, Statement};

use super::ledger::Known;
use crate::store::Commit;

/// The columns that a boundary may leave as they are, after those that it always writes.
const OPTIONAL: [&str; 4] = ["position", "context", "status", "awaiting"];

const ALWAYS: &str = "UPDATE checkpoint SET state = ?1, paused = ?2, steps = ?3, updated_at = ?4, \
    open_children = ?5, history = ?6, history_rows = ?7";

#[derive(Debug)]
pub(super) struct Boundaries<'c> {
    connection: &'c Connection,
    statements: [Option<Statement<'c>>; 1 << OPTIONAL.len()],
}

impl<'c> Boundaries<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, statements: Default::default() }
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
            commit.position.as_deref().map(Some),
            commit.context.as_deref().map(Some),
            status.as_deref().map(Some),
            awaiting.as_ref().map(Option::as_deref),
        ];
        let mask = values.iter().enumerate().fold(0, |mask, (bit, value)| mask | usize::from(value.is_some()) << bit);
        let statement = match &mut self.statements[mask] {
            Some(statement) => statement,
            empty => empty.insert(self.connection.prepare(&sql(mask))?),
        };
        statement.raw_bind_parameter(1, commit.to.as_str())?;
        statement.raw_bind_parameter(2, commit.paused)?;
        statement.raw_bind_parameter(3, commit.steps.cast_signed())?;
        statement.raw_bind_parameter(4, commit.at.as_millis())?;
        statement.raw_bind_parameter(5, known.open)?;
        statement.raw_bind_parameter(6, known.history.last())?;
        statement.raw_bind_parameter(7, known.history.rows())?;
        let mut next = 8;
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
