//! Processes whole: what is read of them beside their records, and how they are added.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Fault;
use super::ledger::{Id, Ledger};
use super::retain::{self, Transition};
use super::sharing::NOBODY;
use crate::process::ProcessId;
use crate::store::search::{exit_code, is_failed};
use crate::store::{Bundle, Creation, Epoch, Memo, Placement, Record, SavedSnapshot, StatusText, StoreErrorKind};

pub(super) fn memos(connection: &Connection, pid: &ProcessId) -> rusqlite::Result<Vec<Memo>> {
    let sql = "SELECT step, name, value FROM memo WHERE process = (SELECT id FROM process WHERE pid = ?1)
        ORDER BY step, name";
    let memo =
        |row: &Row<'_>| Ok(Memo { step: row.get::<_, i64>(0)?.cast_unsigned(), name: row.get(1)?, value: row.get(2)? });
    connection.prepare_cached(sql)?.query_map([pid.to_string()], memo)?.collect()
}

pub(super) fn placement(connection: &Connection, pid: &ProcessId) -> rusqlite::Result<Placement> {
    let sql = "SELECT queue, priority FROM placement WHERE id = (SELECT id FROM process WHERE pid = ?1)";
    let placement = |row: &Row<'_>| Ok(Placement { queue: row.get(0)?, priority: row.get(1)?, unowned: false });
    Ok(connection.prepare_cached(sql)?.query_row([pid.to_string()], placement).optional()?.unwrap_or_default())
}

impl Ledger<'_> {
    /// All of them, or none.
    pub(super) fn import(&mut self, epoch: Epoch, bundles: &[Bundle]) -> Result<Creation, Fault> {
        self.fence(epoch)?;
        for Bundle { record, .. } in bundles {
            if let Some(exists) = self.existing(record.key.as_deref(), &record.pid)? {
                return Ok(exists);
            }
        }
        self.check_relatives(bundles)?;
        // From here on only SQLite itself can fail.
        for bundle in bundles {
            self.insert_whole(bundle)?;
        }
        for Bundle { record, .. } in bundles.iter().filter(|bundle| !bundle.record.state.is_terminal()) {
            self.reopen_children(&record.pid, &record.awaiting)?;
            let Some(id) = self.look_up(&record.pid)?.map(|known| known.id) else { continue };
            self.share_with(NOBODY, id)?;
            if let Some(reason) = &record.parked {
                self.put_aside(&record.pid, id, reason)?;
            }
        }
        Ok(Creation::Created)
    }

    /// A parent is there, or comes before; those that are waited for are there, or come, too.
    fn check_relatives(&mut self, bundles: &[Bundle]) -> Result<(), Fault> {
        let mut given = std::collections::HashSet::new();
        for Bundle { record, .. } in bundles {
            if let Some(parent) = &record.parent
                && !given.contains(parent)
                && self.look_up(parent)?.is_none()
            {
                return Err(Fault::Refused(StoreErrorKind::NotFound));
            }
            given.insert(&record.pid);
        }
        for Bundle { record, .. } in bundles.iter().filter(|bundle| !bundle.record.state.is_terminal()) {
            for child in &record.awaiting.children {
                if !given.contains(&child.pid) && self.look_up(&child.pid)?.is_none() {
                    return Err(Fault::Refused(StoreErrorKind::NotFound));
                }
            }
        }
        Ok(())
    }

    fn insert_whole(&mut self, bundle: &Bundle) -> rusqlite::Result<()> {
        let Bundle { record, placement, history, report, memos, snapshots } = bundle;
        let id = self.insert_record(record)?;
        let Placement { queue, priority, .. } = placement;
        if !queue.is_empty() || *priority != 0 {
            let mut insert = self.connection.prepare_cached("INSERT INTO placement VALUES (?1, ?2, ?3)")?;
            insert.execute(params![id, queue, priority])?;
        }
        let mut insert = self.connection.prepare_cached("INSERT INTO memo VALUES (?1, ?2, ?3, ?4)")?;
        for Memo { step, name, value } in memos {
            insert.execute(params![id, step.cast_signed(), name, value])?;
        }
        let most = usize::try_from(self.reports).unwrap_or(usize::MAX);
        let mut insert = self.connection.prepare_cached("INSERT INTO report VALUES (?1, ?2, ?3, ?4)")?;
        for (ordinal, line) in (1_i64..).zip(&report[report.len().saturating_sub(most)..]) {
            insert.execute(params![id, ordinal, line.at.as_millis(), line.text])?;
        }
        for snapshot in snapshots {
            self.insert_snapshot(snapshot)?;
        }
        let most = self.history;
        let Some(mut known) = self.look_up(&record.pid)?.cloned() else { return Ok(()) };
        for entry in history {
            let (at, from, to, steps, point) = (entry.at, entry.from, entry.to, entry.steps, entry.point.as_str());
            retain::append_history(self.connection, &mut known, &Transition { at, from, to, steps, point }, most)?;
        }
        let sql = "UPDATE checkpoint SET history = ?1, history_rows = ?2 WHERE id = ?3";
        let mut update = self.connection.prepare_cached(sql)?;
        update.execute(params![known.history.last(), known.history.rows(), id])?;
        self.known.insert(record.pid.clone(), known);
        Ok(())
    }

    fn insert_record(&mut self, record: &Record) -> rusqlite::Result<Id> {
        let parent = match &record.parent {
            Some(parent) => self.look_up(parent)?.map(|parent| parent.id),
            None => None,
        };
        let (envelope, exit_code) = (&record.envelope, exit_code(record.state, record.ended.as_deref()));
        let mut insert = self.connection.prepare_cached(INSERT_PROCESS)?;
        let id = insert.insert(params![
            record.pid.to_string(),
            record.key,
            parent,
            record.follows,
            envelope.process,
            envelope.version,
            envelope.format,
            envelope.fingerprint,
            record.created_at.as_millis(),
            record.ended,
            record.parked,
            &*record.inputs,
            record.outputs,
            record.defaulted,
            record.listeners,
            exit_code,
            is_failed(record.state, exit_code),
        ])?;
        let (status, awaiting) = texts(record)?;
        let mut insert = self.connection.prepare_cached(INSERT_CHECKPOINT)?;
        insert.execute(params![
            id,
            record.state.as_str(),
            record.paused,
            record.steps.cast_signed(),
            record.updated_at.as_millis(),
            status,
            awaiting,
            record.position,
            record.context,
        ])?;
        Ok(id)
    }

    fn insert_snapshot(&self, snapshot: &SavedSnapshot) -> rusqlite::Result<()> {
        let SavedSnapshot { tag, at, record } = snapshot;
        let (envelope, (status, awaiting)) = (&record.envelope, texts(record)?);
        let mut insert = self.connection.prepare_cached(INSERT_SNAPSHOT)?;
        insert.execute(params![
            record.pid.to_string(),
            tag,
            at.as_millis(),
            envelope.process,
            envelope.version,
            envelope.format,
            envelope.fingerprint,
            record.outputs,
            record.listeners,
            record.ended,
            record.state.as_str(),
            record.paused,
            record.steps.cast_signed(),
            record.updated_at.as_millis(),
            record.open_children.cast_signed(),
            status,
            awaiting,
            record.position,
            record.context,
        ])?;
        Ok(())
    }
}

/// The status and what is awaited, as they stand in a row: none is no text.
fn texts(record: &Record) -> rusqlite::Result<(Option<String>, Option<String>)> {
    let failed = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let status = Some(&record.status).filter(|status| **status != StatusText::default());
    let status = status.map(serde_json::to_string).transpose().map_err(failed)?;
    let awaiting = Some(&record.awaiting).filter(|awaiting| !awaiting.is_empty());
    Ok((status, awaiting.map(serde_json::to_string).transpose().map_err(failed)?))
}

const INSERT_PROCESS: &str = "INSERT INTO process (pid, key, parent, follows, process, version, format, fingerprint,
    created_at, ended, parked, inputs, outputs, defaulted, listeners, exit_code, failed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

const INSERT_CHECKPOINT: &str =
    "INSERT INTO checkpoint (id, state, paused, steps, updated_at, status, awaiting, position,
    context) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const INSERT_SNAPSHOT: &str =
    "INSERT INTO snapshot (pid, tag, at, process, version, format, fingerprint, outputs, listeners,
    ended, state, paused, steps, updated_at, open_children, status, awaiting, position, context)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
