//! Snapshots, the way back to one, and the removal of processes: what is seldom asked of the writer.

use rusqlite::{OptionalExtension, Row, params};

use super::error::{Fault, is_damaged};
use super::ledger::{Id, Ledger};
use super::read;
use super::retain::{self, Transition};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::ProcessId;
use crate::store::rules::restored_from;
use crate::store::{Awaiting, Commit, Epoch, Record, StoreErrorKind};

impl Ledger<'_> {
    pub(super) fn save_snapshot(
        &mut self,
        epoch: Epoch,
        pid: &ProcessId,
        tag: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        self.fence(epoch)?;
        if self.look_up(pid)?.is_none() {
            return Err(Fault::Refused(StoreErrorKind::NotFound));
        }
        let mut others =
            self.connection.prepare_cached("SELECT count(*) FROM snapshot WHERE pid = ?1 AND tag <> ?2")?;
        let others: i64 = others.query_row(params![pid.to_string(), tag], |row| row.get(0))?;
        if usize::try_from(others).is_ok_and(|others| others >= limits::SNAPSHOTS) {
            return Err(Fault::Refused(StoreErrorKind::Limit));
        }
        let mut size = self.connection.prepare_cached(SIZE)?;
        let size: i64 = size.query_row([pid.to_string()], |row| row.get(0))?;
        if usize::try_from(size).is_ok_and(|size| size > limits::RECORD_BYTES) {
            return Err(Fault::Refused(StoreErrorKind::Limit));
        }
        let mut insert = self.connection.prepare_cached(SAVE)?;
        insert.execute(params![tag, at.as_millis(), pid.to_string()])?;
        Ok(())
    }

    pub(super) fn delete_snapshots(&mut self, epoch: Epoch, pid: &ProcessId, tag: Option<&str>) -> Result<u64, Fault> {
        self.fence(epoch)?;
        let mut delete =
            self.connection.prepare_cached("DELETE FROM snapshot WHERE pid = ?1 AND (?2 IS NULL OR tag = ?2)")?;
        Ok(delete.execute(params![pid.to_string(), tag])? as u64)
    }

    /// Brings a process back to a snapshot; gives it as it is then.
    pub(super) fn restore(&mut self, epoch: Epoch, pid: &ProcessId, tag: &str, at: Timestamp) -> Result<Record, Fault> {
        self.fence(epoch)?;
        let refused = |kind| Err(Fault::Refused(kind));
        let Some(known) = self.look_up(pid)?.cloned() else { return refused(StoreErrorKind::NotFound) };
        self.fence_free(epoch, &known)?;
        let Some(snapshot) = readable(read::load_snapshot(self.connection, pid, tag))? else {
            return refused(StoreErrorKind::NoSnapshot);
        };
        if snapshot.state.is_terminal() {
            return refused(StoreErrorKind::Ended);
        }
        if known.ended && self.is_awaited(known.parent, pid)? {
            return refused(StoreErrorKind::Unfinished);
        }
        for child in &snapshot.awaiting.children {
            if self.look_up(&child.pid)?.is_none() {
                return refused(StoreErrorKind::NotFound);
            }
        }
        let mut present = self.connection.prepare_cached("SELECT state, steps FROM checkpoint WHERE id = ?1")?;
        let present = present.query_row([known.id], |row| Ok((read::state(row, 0)?, row.get::<_, i64>(1)?)));
        let (from, steps) = readable(present)?;
        // From here on only SQLite itself can fail.
        if known.ended {
            // Nobody will apply them to the life that they were meant for.
            self.connection.prepare_cached(REMOVE_REQUESTS)?.execute([pid.to_string()])?;
        }
        let id = known.id;
        let text = pid.to_string();
        self.connection.prepare_cached(RESTORE_PROCESS)?.execute(params![id, text, tag])?;
        self.connection.prepare_cached(RESTORE_CHECKPOINT)?.execute(params![
            id,
            text,
            tag,
            steps + 1,
            at.as_millis()
        ])?;
        self.connection.prepare_cached("DELETE FROM memo WHERE process = ?1")?.execute([id])?;
        self.reopen_children(pid, &snapshot.awaiting)?;
        let commit =
            Commit { steps: steps.cast_unsigned() + 1, ..Commit::new(pid.clone(), epoch, at, from, snapshot.state) };
        self.append_history(pid, &commit, &restored_from(tag))?;
        self.share_with(epoch.0.cast_signed(), id)?;
        Ok(read::load(self.connection, pid)?.unwrap_or(snapshot))
    }

    /// Whether a parent that has not ended waits for a process, or has yet to look at its end.
    fn is_awaited(&self, parent: Option<Id>, pid: &ProcessId) -> rusqlite::Result<bool> {
        let sql = "SELECT awaiting FROM process JOIN checkpoint USING (id) WHERE id = ?1 AND ended IS NULL";
        let awaiting = self.connection.prepare_cached(sql)?.query_row([parent], |row| row.get(0)).optional()?;
        let awaiting: Option<String> = awaiting.flatten();
        // A parent that is damaged is as if it were not there.
        let awaiting = awaiting.and_then(|text| serde_json::from_str::<Awaiting>(&text).ok());
        Ok(awaiting.is_some_and(|awaiting| awaiting.lists(pid)))
    }

    pub(super) fn reopen_children(&mut self, pid: &ProcessId, awaiting: &Awaiting) -> rusqlite::Result<()> {
        self.known.remove(pid);
        let Some(mut known) = self.look_up(pid)?.cloned() else { return Ok(()) };
        self.close_children(&mut known)?;
        self.await_children(&mut known, awaiting)?;
        let mut update = self.connection.prepare_cached("UPDATE checkpoint SET open_children = ?1 WHERE id = ?2")?;
        update.execute([known.open, known.id])?;
        self.known.insert(pid.clone(), known);
        Ok(())
    }

    /// A row of history that no boundary writes.
    fn append_history(&mut self, pid: &ProcessId, commit: &Commit, point: &str) -> rusqlite::Result<()> {
        let most = self.history;
        let Some(known) = self.look_up(pid)? else { return Ok(()) };
        let mut known = known.clone();
        let Commit { at, from, to, steps, .. } = *commit;
        let entry = Transition { at, from, to, steps, point };
        retain::append_history(self.connection, &mut known, &entry, most)?;
        let sql = "UPDATE checkpoint SET history = ?1, history_rows = ?2 WHERE id = ?3";
        let mut update = self.connection.prepare_cached(sql)?;
        update.execute(params![known.history.last(), known.history.rows(), known.id])?;
        self.known.insert(pid.clone(), known);
        Ok(())
    }

    /// Removes a process that has ended; whether there was one.
    pub(super) fn delete(&mut self, epoch: Epoch, pid: &ProcessId) -> Result<bool, Fault> {
        self.fence(epoch)?;
        let Some(known) = self.look_up(pid)?.cloned() else { return Ok(false) };
        let mut parent = self.connection.prepare_cached("SELECT ended IS NOT NULL FROM process WHERE id = ?1")?;
        let parent_ended = parent.query_row([known.parent], |row| row.get(0)).optional()?.unwrap_or(true);
        if !known.ended || !parent_ended {
            return Err(Fault::Refused(StoreErrorKind::Unfinished));
        }
        let mut children = self.connection.prepare_cached("SELECT pid FROM process WHERE parent = ?1")?;
        let children = children.query_map([known.id], |row: &Row<'_>| row.get::<_, String>(0))?;
        for child in children {
            self.known.remove(&ProcessId::from(child?));
        }
        retain::remove_from(self.connection, known.history.last())?;
        for sql in REMOVE {
            self.connection.prepare_cached(sql)?.execute([known.id])?;
        }
        for sql in REMOVE_BY_PID {
            self.connection.prepare_cached(sql)?.execute([pid.to_string()])?;
        }
        self.known.remove(pid);
        Ok(true)
    }
}

/// What was read, before anything is written: one row that is damaged is refused, and does not close the store.
fn readable<T>(read: rusqlite::Result<T>) -> Result<T, Fault> {
    read.map_err(|error| match error {
        error if is_damaged(&error) => Fault::Refused(StoreErrorKind::Corrupt),
        error => error.into(),
    })
}

/// What would stand in one row.
const SIZE: &str = "SELECT octet_length(outputs) + octet_length(context) + octet_length(position)
    + coalesce(octet_length(listeners), 0) FROM process JOIN checkpoint USING (id) WHERE pid = ?1";

const SAVE: &str = "INSERT OR REPLACE INTO snapshot
    SELECT pid, ?1, ?2, process.process, version, format, fingerprint, outputs, listeners, ended,
    state, paused, steps, updated_at, open_children, status, awaiting, position, context
    FROM process JOIN checkpoint USING (id) WHERE pid = ?3";

const RESTORE_PROCESS: &str =
    "UPDATE process SET (process, version, format, fingerprint, outputs, listeners, ended, parked,
    exit_code, failed) = (SELECT process, version, format, fingerprint, outputs, listeners, NULL, NULL, NULL, 0
    FROM snapshot WHERE pid = ?2 AND tag = ?3) WHERE id = ?1";

const RESTORE_CHECKPOINT: &str =
    "UPDATE checkpoint SET (state, paused, steps, updated_at, status, awaiting, position, context) =
    (SELECT state, paused, ?4, ?5, status, awaiting, position, context FROM snapshot WHERE pid = ?2 AND tag = ?3)
    WHERE id = ?1";

const REMOVE: [&str; 7] = [
    "UPDATE process SET parent = NULL WHERE parent = ?1",
    "DELETE FROM open_child WHERE parent = ?1",
    "DELETE FROM memo WHERE process = ?1",
    "DELETE FROM report WHERE process = ?1",
    "DELETE FROM checkpoint WHERE id = ?1",
    "DELETE FROM placement WHERE id = ?1",
    "DELETE FROM process WHERE id = ?1",
];

const REMOVE_REQUESTS: &str = "DELETE FROM request WHERE pid = ?1";

const REMOVE_BY_PID: [&str; 3] =
    ["DELETE FROM snapshot WHERE pid = ?1", "DELETE FROM owed WHERE pid = ?1", REMOVE_REQUESTS];
