//! Several workers on one file: who they are, and which process is whose.
//!
//! All of this is written by workers alone: as long as someone owns the whole store, the tables are empty.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};

use super::error::Fault;
use super::ledger::{Id, Known, Ledger};
use crate::clock::{Clock, SystemClock};
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Epoch, Placement, Renewed, StoreErrorKind, Worker};

/// Owns what can be claimed.
pub(super) const NOBODY: i64 = 0;

/// When a process can go on, by its checkpoint. One that is damaged is given to whoever claims it, who tells of it.
macro_rules! due {
    () => {
        "CASE WHEN paused THEN 9223372036854775807 WHEN state <> 'waiting' THEN 0
        WHEN open_children > 0 THEN 9223372036854775807 WHEN awaiting IS NULL OR NOT json_valid(awaiting) THEN 0
        WHEN awaiting ->> '$.resume' IS NOT NULL THEN 9223372036854775807
        WHEN awaiting ->> '$.wake_at' IS NOT NULL THEN max(CAST(awaiting ->> '$.wake_at' AS INTEGER), 1) ELSE 0 END"
    };
}

/// Makes a row for each process that can be claimed now or later.
const FILL: &str = concat!(
    "INSERT INTO share (id, owner, queue, priority, due)
    SELECT process.id, 0, coalesce(queue, ''), coalesce(priority, 0), ",
    due!(),
    " FROM process INDEXED BY process_unfinished CROSS JOIN checkpoint ON checkpoint.id = process.id
    LEFT JOIN placement ON placement.id = process.id WHERE ended IS NULL AND parked IS NULL"
);

const JOIN: &str =
    "INSERT INTO worker (epoch, host, os_process, version, queues, slots, lease, joined_at, heard_at, lapses_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8 + ?7)";

/// One that has lapsed is remembered as long as it has something, so that a claim finds it.
const FORGET: &str = "DELETE FROM worker WHERE lapses_at < ?1
    AND NOT EXISTS (SELECT 1 FROM share WHERE owner = epoch AND owner <> 0)";

const RENEW: &str = "UPDATE worker SET heard_at = ?1, lapses_at = ?1 + lease, slots_used = ?2 WHERE epoch = ?3
    RETURNING lapses_at, drains";

const DRAIN: &str = "UPDATE worker SET drains = 1 WHERE epoch = ?1 AND lapsed = 0 AND lapses_at > ?2";

/// In place of what a restored process, or one that was parked, had.
const SHARE: &str = concat!(
    "INSERT OR REPLACE INTO share (id, owner, queue, priority, due)
    SELECT checkpoint.id, ?2, coalesce(queue, ''), coalesce(priority, 0), ",
    due!(),
    " FROM checkpoint LEFT JOIN placement ON placement.id = checkpoint.id WHERE checkpoint.id = ?1"
);

const DUE: &str = concat!(
    "UPDATE share SET due = (SELECT ",
    due!(),
    " FROM checkpoint WHERE checkpoint.id = share.id) WHERE id = ?1"
);

/// What is kept of a process that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) owner: i64,
    pub(super) attempts: u32,
    /// None while it is parked.
    due: Option<i64>,
}

/// Who is told, when the transaction is committed, that something may have come about.
#[derive(Debug, Default)]
pub(super) struct News {
    all: bool,
    workers: BTreeSet<i64>,
}

impl News {
    /// For whoever can claim what nobody has, or for its owner.
    pub(super) fn tell(&mut self, owner: i64) {
        if owner == NOBODY {
            self.all = true;
        } else {
            self.workers.insert(owner);
        }
    }
}

impl Ledger<'_> {
    pub(super) fn join(&mut self, worker: &Worker, lease: Duration) -> Result<Epoch, Fault> {
        let (before, shared) = self.epoch()?;
        let epoch = Epoch(before.0 + 1);
        if !shared {
            self.connection.execute(FILL, [])?;
        }
        let now = SystemClock.now().as_millis();
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        self.connection.execute(FORGET, [now.saturating_sub(millis(limits::LAPSED_WORKER))])?;
        let queues = serde_json::to_string(&worker.queues)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let Worker { host, os_process, version, slots, .. } = worker;
        let lease = millis(lease).min(i64::MAX / 4);
        let number = epoch.0.cast_signed();
        self.connection.execute(JOIN, params![number, host, os_process, version, queues, slots, lease, now])?;
        self.connection.execute("UPDATE store SET epoch = ?1, shared = 1", [number])?;
        // Whoever owned the whole store does so no more.
        self.release();
        Ok(epoch)
    }

    pub(super) fn renew(&mut self, epoch: Epoch, slots_used: u32) -> Result<Renewed, Fault> {
        self.fence_worker(epoch)?;
        let (now, number) = (SystemClock.now().as_millis(), epoch.0.cast_signed());
        let mut update = self.connection.prepare_cached(RENEW)?;
        let renewed = |row: &Row<'_>| Ok((row.get(0)?, Renewed::new(row.get(1)?)));
        let (until, renewed): (i64, _) = update.query_row(params![now, slots_used, number], renewed)?;
        self.leases.rely(epoch, crate::clock::Timestamp::from_millis(until));
        Ok(renewed)
    }

    /// Whether there is such a worker.
    pub(super) fn ask_to_drain(&mut self, worker: Epoch) -> rusqlite::Result<bool> {
        let now = SystemClock.now().as_millis();
        Ok(self.connection.prepare_cached(DRAIN)?.execute([worker.0.cast_signed(), now])? > 0)
    }

    /// Whether an epoch is that of a worker that may write.
    pub(super) fn fence_worker(&mut self, epoch: Epoch) -> Result<(), Fault> {
        if self.is_alive(epoch)? { Ok(()) } else { Err(Fault::Refused(StoreErrorKind::Stale)) }
    }

    /// Frees what a worker has; nothing happens under an epoch that is stale.
    pub(super) fn leave(&mut self, epoch: Epoch) -> rusqlite::Result<()> {
        if !self.is_alive(epoch)? {
            return Ok(());
        }
        let number = epoch.0.cast_signed();
        let sql = "UPDATE share SET owner = 0 WHERE owner = ?1 AND owner <> 0";
        self.connection.prepare_cached(sql)?.execute([number])?;
        self.connection.prepare_cached("DELETE FROM worker WHERE epoch = ?1")?.execute([number])?;
        self.leases.leave(epoch);
        self.news.tell(NOBODY);
        Ok(())
    }

    pub(super) fn hand_over(&mut self, epoch: Epoch, processes: &[ProcessId]) -> Result<(), Fault> {
        self.fence_worker(epoch)?;
        let mut update = self.connection.prepare_cached(
            "UPDATE share SET owner = 0 WHERE id = (SELECT id FROM process WHERE pid = ?1) AND owner = ?2",
        )?;
        for pid in processes {
            if update.execute(params![pid.to_string(), epoch.0.cast_signed()])? > 0 {
                self.news.tell(NOBODY);
            }
        }
        Ok(())
    }

    /// Gives up a process that cannot be loaded; whether it is parked.
    pub(super) fn fail(&mut self, epoch: Epoch, pid: &ProcessId, reason: &str, most: u32) -> Result<bool, Fault> {
        self.fence_worker(epoch)?;
        let known = self.live(pid)?;
        self.fence_own(epoch, &known)?;
        let attempts = self.share(known.id)?.map_or(0, |share| share.attempts).saturating_add(1);
        let sql = "UPDATE share SET owner = 0, attempts = ?1 WHERE id = ?2";
        self.connection.prepare_cached(sql)?.execute(params![attempts, known.id])?;
        if attempts >= most {
            self.put_aside(pid, known.id, reason)?;
            return Ok(true);
        }
        self.news.tell(NOBODY);
        Ok(false)
    }

    /// Lets a parked process be claimed again; whether it was parked.
    pub(super) fn unpark(&mut self, epoch: Epoch, pid: &ProcessId) -> Result<bool, Fault> {
        self.fence(epoch)?;
        let Some(known) = self.look_up(pid)? else { return Err(Fault::Refused(StoreErrorKind::NotFound)) };
        if known.ended || !known.parked {
            return Ok(false);
        }
        known.parked = false;
        let id = known.id;
        self.connection.prepare_cached("UPDATE process SET parked = NULL WHERE id = ?1")?.execute([id])?;
        self.share_with(NOBODY, id)?;
        Ok(true)
    }

    /// Parks a process; it is nobody's from now on.
    pub(super) fn put_aside(&mut self, pid: &ProcessId, id: Id, reason: &str) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare_cached("UPDATE process SET parked = ?1 WHERE id = ?2")?;
        update.execute(params![reason, id])?;
        if let Some(known) = self.known.get_mut(pid) {
            known.parked = true;
        }
        if self.owned.is_none() {
            let sql = "UPDATE share SET owner = 0, due = NULL WHERE id = ?1";
            self.connection.prepare_cached(sql)?.execute([id])?;
        }
        Ok(())
    }

    pub(super) fn share(&self, id: Id) -> rusqlite::Result<Option<Share>> {
        let mut query = self.connection.prepare_cached("SELECT owner, attempts, due FROM share WHERE id = ?1")?;
        let share = |row: &Row<'_>| Ok(Share { owner: row.get(0)?, attempts: row.get(1)?, due: row.get(2)? });
        query.query_row([id], share).optional()
    }

    /// The epoch of the worker that has a process.
    pub(super) fn owner(&self, id: Id) -> rusqlite::Result<i64> {
        Ok(self.share(id)?.map_or(NOBODY, |share| share.owner))
    }

    /// A process that was added, under the epoch of its creator.
    pub(super) fn share_new(&mut self, epoch: Epoch, known: &Known, placement: &Placement) -> rusqlite::Result<()> {
        if self.owned.is_some() {
            return Ok(());
        }
        let owner = if placement.unowned { NOBODY } else { epoch.0.cast_signed() };
        let sql = "INSERT INTO share (id, owner, queue, priority, due) VALUES (?1, ?2, ?3, ?4, 0)";
        let (queue, priority) = known.place.as_deref().map_or(("", 0), |(queue, priority)| (queue, *priority));
        self.connection.prepare_cached(sql)?.execute(params![known.id, owner, queue, priority])?;
        if owner == NOBODY {
            self.news.tell(NOBODY);
        }
        Ok(())
    }

    /// A process that has another owner from now on, and starts anew with its attempts.
    pub(super) fn share_with(&mut self, owner: i64, id: Id) -> rusqlite::Result<()> {
        if self.owned.is_some() {
            return Ok(());
        }
        self.connection.prepare_cached(SHARE)?.execute([id, owner])?;
        if owner == NOBODY {
            self.news.tell(NOBODY);
        }
        Ok(())
    }

    /// After a boundary has been written. A step changes nothing here.
    pub(super) fn share_boundary(&mut self, epoch: Epoch, id: Id, ended: bool, at_once: bool) -> rusqlite::Result<()> {
        if self.owned.is_some() {
            return Ok(());
        }
        if ended {
            return self.connection.prepare_cached("DELETE FROM share WHERE id = ?1")?.execute([id]).map(drop);
        }
        let owner = epoch.0.cast_signed();
        match self.share(id)? {
            Some(share) if share.owner == owner && share.due.is_some() => {
                if share.attempts > 0 {
                    let sql = "UPDATE share SET attempts = 0, losses = 0 WHERE id = ?1";
                    self.connection.prepare_cached(sql)?.execute([id])?;
                }
                if !at_once || share.due != Some(0) {
                    self.look_when_due(id)?;
                }
                Ok(())
            }
            // It was parked.
            _ => self.share_with(owner, id),
        }
    }

    /// After something has changed that a process waits for.
    pub(super) fn look_when_due(&self, id: Id) -> rusqlite::Result<()> {
        self.connection.prepare_cached(DUE)?.execute([id]).map(drop)
    }

    /// Tells the worker that has a process, or all where nobody has it.
    pub(super) fn tell_of(&mut self, pid: &ProcessId) -> rusqlite::Result<()> {
        if self.owned.is_some() {
            return Ok(());
        }
        let sql = "SELECT owner FROM share WHERE id = (SELECT id FROM process WHERE pid = ?1)";
        let mut query = self.connection.prepare_cached(sql)?;
        if let Some(owner) = query.query_row([pid.to_string()], |row| row.get(0)).optional()? {
            self.news.tell(owner);
        }
        Ok(())
    }

    /// Tells the worker that has a parent of the end of its child; who wrote it knows of it.
    pub(super) fn tell_parent(&mut self, epoch: Epoch, parent: Id) -> rusqlite::Result<()> {
        if self.owned.is_none()
            && let Some(share) = self.share(parent)?
            && share.owner != epoch.0.cast_signed()
        {
            self.news.tell(share.owner);
        }
        Ok(())
    }

    /// Writes who is told; whether anyone is.
    pub(super) fn spread_news(&mut self) -> rusqlite::Result<bool> {
        let News { all, workers } = std::mem::take(&mut self.news);
        if !all && workers.is_empty() {
            return Ok(false);
        }
        if all {
            self.connection.prepare_cached("UPDATE worker SET news = news + 1 WHERE lapsed = 0")?.execute([])?;
            return Ok(true);
        }
        let mut update = self.connection.prepare_cached("UPDATE worker SET news = news + 1 WHERE epoch = ?1")?;
        for epoch in workers {
            update.execute([epoch])?;
        }
        Ok(true)
    }
}
