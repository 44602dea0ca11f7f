//! What whoever watches processes is told, and the hints that workers give.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Fault, is_damaged};
use super::ledger::Ledger;
use super::read::{optional_json, state};
use super::sharing::NOBODY;
use crate::clock::Timestamp;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Epoch, Hint, Look, Looks};

/// Without what it has in it. Who has it: a worker, and whether its lease holds; and what who writes it has told of the step
/// that runs.
const LOOK: &str = r#"SELECT process.process, version, key,
    (SELECT up.pid FROM process AS up WHERE up.id = process.parent), state, paused, parked, status, position, awaiting,
    open_children, steps,
    CASE WHEN octet_length(ended) > ?3 AND substr(ended, 1, 19) = '{"state":"finished"' THEN '{"state":"finished"}'
        ELSE ended END,
    created_at, updated_at, share.owner,
    EXISTS (SELECT 1 FROM worker WHERE epoch = share.owner AND lapsed = 0 AND lapses_at > ?2),
    (SELECT progress FROM hint WHERE hint.pid = process.pid AND hint.steps = checkpoint.steps
        AND hint.epoch = coalesce(share.owner, (SELECT epoch FROM store WHERE shared = 0))),
    coalesce(share.attempts, 0)
    FROM process CROSS JOIN checkpoint ON checkpoint.id = process.id LEFT JOIN share ON share.id = process.id
    WHERE process.pid = ?1"#;

pub(super) fn look(connection: &Connection, processes: Vec<ProcessId>, now: Timestamp) -> rusqlite::Result<Looks> {
    // All of one moment.
    let moment = connection.unchecked_transaction()?;
    let mut query = moment.prepare_cached(LOOK)?;
    let mut looks = Looks::default();
    let most = i64::try_from(limits::SUMMARY_ENDED_BYTES).unwrap_or(i64::MAX);
    for pid in processes {
        let look = query.query_row(params![pid.to_string(), now.as_millis(), most], |row| one(&pid, row));
        match look.optional() {
            Ok(look) => looks.processes.extend(look),
            Err(error) if is_damaged(&error) => looks.unreadable.push((pid, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(looks)
}

fn one(pid: &ProcessId, row: &Row<'_>) -> rusqlite::Result<Look> {
    let owner = row.get::<_, Option<i64>>(15)?.filter(|owner| *owner != NOBODY);
    let alive = row.get(16)?;
    let hint = row.get::<_, Option<String>>(17)?;
    // One that cannot be read is none.
    let hint = hint.and_then(|hint| serde_json::from_str(&hint).ok());
    let look = Look {
        pid: pid.clone(),
        process: row.get(0)?,
        version: row.get(1)?,
        key: row.get(2)?,
        parent: row.get::<_, Option<String>>(3)?.map(ProcessId::from),
        state: state(row, 4)?,
        paused: row.get(5)?,
        parked: row.get(6)?,
        status: optional_json(row, 7)?,
        position: row.get(8)?,
        awaiting: optional_json(row, 9)?,
        open_children: row.get::<_, i64>(10)?.cast_unsigned(),
        steps: row.get::<_, i64>(11)?.cast_unsigned(),
        ended: row.get(12)?,
        created_at: Timestamp::from_millis(row.get(13)?),
        updated_at: Timestamp::from_millis(row.get(14)?),
        owner: None,
        hint: None,
        attempts: row.get(18)?,
    };
    Ok(look.attended(owner.map(|owner| (Epoch(owner.cast_unsigned()), alive)), hint))
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
