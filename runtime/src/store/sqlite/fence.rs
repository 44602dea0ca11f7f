//! What keeps a stale owner from writing: the one place that says who may.
//!
//! Who has acquired the store writes all of it. A worker writes as long as its lease has not lapsed by the machine's clock,
//! and what is its own. Nobody else writes while a transaction is open; that the lease has not lapsed is looked at once
//! more before its end, since the OS process may have been stopped within.

use std::collections::HashMap;

use rusqlite::OptionalExtension;

use super::error::Fault;
use super::ledger::{Known, Ledger};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::store::{Epoch, StoreErrorKind};

/// The leases that the present transaction relies on, and when they lapse.
#[derive(Debug, Default)]
pub(super) struct Leases {
    until: HashMap<Epoch, Timestamp>,
    /// One that it had relied on has lapsed.
    broken: bool,
}

impl Leases {
    pub(super) fn clear(&mut self) {
        self.until.clear();
        self.broken = false;
    }

    pub(super) fn rely(&mut self, epoch: Epoch, until: Timestamp) {
        self.until.insert(epoch, until);
    }

    /// A worker that has left relies on nothing any more; what it wrote before was written in time.
    pub(super) fn leave(&mut self, epoch: Epoch) {
        self.until.remove(&epoch);
    }

    /// Whether all of them hold.
    pub(super) fn hold(&mut self) -> bool {
        if !self.until.is_empty() {
            let now = SystemClock.now();
            self.broken |= self.until.values().any(|until| *until <= now);
        }
        !self.broken
    }
}

impl Ledger<'_> {
    /// Whether something may be written under an epoch.
    pub(super) fn fence(&mut self, epoch: Epoch) -> Result<(), Fault> {
        if self.owned == Some(epoch) || self.is_alive(epoch)? {
            return Ok(());
        }
        Err(Fault::Refused(StoreErrorKind::Stale))
    }

    /// Whether a process may be written under an epoch. One that has ended is nobody's: that is for others to refuse.
    pub(super) fn fence_own(&mut self, epoch: Epoch, known: &Known) -> Result<(), Fault> {
        self.fence(epoch)?;
        if self.owned.is_some() || known.ended || self.owner(known.id)? == epoch.0.cast_signed() {
            return Ok(());
        }
        Err(Fault::Refused(StoreErrorKind::Stale))
    }

    /// Whether no other worker has a process.
    pub(super) fn fence_free(&mut self, epoch: Epoch, known: &Known) -> Result<(), Fault> {
        self.fence(epoch)?;
        if self.owned.is_some() || known.ended {
            return Ok(());
        }
        let owner = Epoch(self.owner(known.id)?.cast_unsigned());
        if owner == epoch || !self.is_alive(owner)? {
            return Ok(());
        }
        Err(Fault::Refused(StoreErrorKind::Stale))
    }

    /// Whether a worker's lease has not lapsed. Where it has, that is written, so that it has for good.
    pub(super) fn is_alive(&mut self, epoch: Epoch) -> rusqlite::Result<bool> {
        let now = SystemClock.now();
        match self.leases.until.get(&epoch) {
            Some(until) if now < *until => return Ok(true),
            Some(_) => self.leases.broken = true,
            None => {}
        }
        let sql = "SELECT lapses_at FROM worker WHERE epoch = ?1 AND lapsed = 0";
        let mut query = self.connection.prepare_cached(sql)?;
        let Some(until) = query.query_row([epoch.0.cast_signed()], |row| row.get(0)).optional()? else {
            return Ok(false);
        };
        let until = Timestamp::from_millis(until);
        if now < until {
            self.leases.rely(epoch, until);
            return Ok(true);
        }
        self.find_lapsed(now)?;
        Ok(false)
    }

    /// Marks the workers whose leases have lapsed. None lasts longer than it was given, as it would after the clock was set
    /// back.
    pub(super) fn find_lapsed(&mut self, now: Timestamp) -> rusqlite::Result<()> {
        let now = now.as_millis();
        let mut update =
            self.connection.prepare_cached("UPDATE worker SET lapsed = 1 WHERE lapsed = 0 AND lapses_at <= ?1")?;
        if update.execute([now])? > 0 {
            self.leases.broken |= self.leases.until.values().any(|until| until.as_millis() <= now);
        }
        let sql = "UPDATE worker SET lapses_at = ?1 + lease WHERE lapsed = 0 AND lapses_at > ?1 + lease";
        self.connection.prepare_cached(sql)?.execute([now]).map(drop)
    }
}
