//! What whoever watches processes is told, and the hints that workers give.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Fault, is_damaged};
use super::ledger::Ledger;
use super::read::load;
use super::sharing::NOBODY;
use crate::clock::Timestamp;
use crate::process::{ProcessId, Progress};
use crate::store::{Epoch, Hint, Look, Looks};

/// Who has it: a worker, and whether its lease holds; and what who writes it has told of the step that runs.
const WHOSE: &str = "SELECT share.owner,
    EXISTS (SELECT 1 FROM worker WHERE epoch = share.owner AND lapsed = 0 AND lapses_at > ?2),
    (SELECT progress FROM hint WHERE hint.pid = process.pid AND hint.steps = checkpoint.steps
        AND hint.epoch = coalesce(share.owner, (SELECT epoch FROM store WHERE shared = 0)))
    FROM process CROSS JOIN checkpoint ON checkpoint.id = process.id LEFT JOIN share ON share.id = process.id
    WHERE process.pid = ?1";

pub(super) fn look(connection: &Connection, processes: Vec<ProcessId>, now: Timestamp) -> rusqlite::Result<Looks> {
    // All of one moment.
    let moment = connection.unchecked_transaction()?;
    let mut query = moment.prepare_cached(WHOSE)?;
    let mut looks = Looks::default();
    for pid in processes {
        let record = match load(&moment, &pid) {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            Err(error) if is_damaged(&error) => {
                looks.unreadable.push((pid, error.to_string()));
                continue;
            }
            Err(error) => return Err(error),
        };
        let whose = query.query_row(params![pid.to_string(), now.as_millis()], whose).optional()?;
        let (owner, hint) = whose.unwrap_or_default();
        looks.processes.push(Look::new(record, owner, hint));
    }
    Ok(looks)
}

type Whose = (Option<(Epoch, bool)>, Option<Progress>);

fn whose(row: &Row<'_>) -> rusqlite::Result<Whose> {
    let owner = row.get::<_, Option<i64>>(0)?.filter(|owner| *owner != NOBODY);
    let alive = row.get(1)?;
    let hint = row.get::<_, Option<String>>(2)?;
    // One that cannot be read is none.
    let hint = hint.and_then(|hint| serde_json::from_str(&hint).ok());
    Ok((owner.map(|owner| (Epoch(owner.cast_unsigned()), alive)), hint))
}

impl Ledger<'_> {
    /// Of one that has left.
    pub(super) fn forget_hints(&self, epoch: Epoch) -> rusqlite::Result<()> {
        let mut delete = self.connection.prepare_cached("DELETE FROM hint WHERE epoch = ?1")?;
        delete.execute([epoch.0.cast_signed()]).map(drop)
    }

    /// In place of what this worker has told before, and of what those told who are gone.
    pub(super) fn hint(&mut self, epoch: Epoch, hints: &[Hint]) -> Result<(), Fault> {
        self.fence(epoch)?;
        let number = epoch.0.cast_signed();
        let gone = "DELETE FROM hint WHERE epoch = ?1 OR epoch NOT IN (SELECT epoch FROM worker WHERE lapsed = 0)";
        self.connection.prepare_cached(gone)?.execute([number])?;
        let mut insert = self.connection.prepare_cached("INSERT OR REPLACE INTO hint VALUES (?1, ?2, ?3, ?4)")?;
        for Hint { pid, steps, progress } in hints {
            let progress = serde_json::to_string(progress)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            insert.execute(params![number, pid.to_string(), steps.cast_signed(), progress])?;
        }
        Ok(())
    }
}
