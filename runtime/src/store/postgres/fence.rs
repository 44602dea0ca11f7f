//! What keeps a stale owner from writing: the one place that says who may.
//!
//! Who has acquired the store writes all of it, and holds its row. A worker writes as long as its lease has not lapsed by
//! the server's clock, and what is its own. Either row is locked until the transaction ends, so that nobody takes over
//! in between; a renewal changes no key, and does not wait for it.

/// Begins a statement: `fence` has the epoch of who has acquired the store, if anyone has, as it is once the lock is had;
/// `leased` those of these epochs whose lease has not lapsed.
macro_rules! fence {
    ($epochs:literal) => {
        concat!(
            "WITH fence AS MATERIALIZED (SELECT epoch FROM store WHERE owned FOR SHARE),
            leased AS MATERIALIZED (
                SELECT epoch, queues FROM worker WHERE epoch = ANY (",
            $epochs,
            "::bigint[]) AND clock_timestamp() < lapses_at FOR KEY SHARE
            )"
        )
    };
}

/// Within such a statement: whether this epoch may write something.
macro_rules! holds {
    ($epoch:literal) => {
        concat!(
            "(coalesce(",
            $epoch,
            " = (SELECT epoch FROM fence), false) OR ",
            $epoch,
            " IN (SELECT epoch FROM leased))"
        )
    };
}

/// Within such a statement: whether this epoch may write a process that has this owner.
macro_rules! owns {
    ($epoch:literal, $owner:literal) => {
        concat!(
            "(coalesce(",
            $epoch,
            " = (SELECT epoch FROM fence), false) OR (",
            $owner,
            " = ",
            $epoch,
            " AND ",
            $epoch,
            " IN (SELECT epoch FROM leased)))"
        )
    };
}

/// Within the last statement of a transaction: gives no row, and fails where the lease of one of these epochs has lapsed
/// since the first. Who has acquired the store holds it until the end.
macro_rules! still_holds {
    ($epochs:literal) => {
        concat!(
            "SELECT NULL::bigint, NULL::bytea FROM worker
            WHERE epoch = ANY (",
            $epochs,
            "::bigint[]) AND CASE WHEN lapses_at <= clock_timestamp() THEN stale() ELSE false END"
        )
    };
}

pub(super) use {fence, holds, owns, still_holds};

use std::collections::HashSet;

use super::error::Fault;
use super::read::get;
use crate::store::{Epoch, StoreErrorKind};
use tokio_postgres::Row;

/// Who may write, as the first statement of a transaction has found it, for what is decided here.
#[derive(Debug, Default)]
pub(super) struct Fence {
    acquired: Option<i64>,
    leased: HashSet<i64>,
}

impl Fence {
    /// From a row of the epoch, and whether it is that of who has acquired the store.
    pub(super) fn read(&mut self, row: &Row, epoch: usize, acquired: usize) -> Result<(), Fault> {
        let epoch: i64 = get(row, epoch)?;
        if get(row, acquired)? {
            self.acquired = Some(epoch);
        } else {
            self.leased.insert(epoch);
        }
        Ok(())
    }

    /// Whether this epoch may write something.
    pub(super) fn holds(&self, epoch: Epoch) -> Result<(), StoreErrorKind> {
        let epoch = epoch.0.cast_signed();
        if self.is_acquired(epoch) || self.leased.contains(&epoch) { Ok(()) } else { Err(StoreErrorKind::Stale) }
    }

    /// Whether it may write a process that has this owner. One that has ended is nobody's.
    pub(super) fn owns(&self, epoch: Epoch, owner: i64, ended: bool) -> Result<(), StoreErrorKind> {
        self.holds(epoch)?;
        let epoch = epoch.0.cast_signed();
        if ended || owner == epoch || self.is_acquired(epoch) { Ok(()) } else { Err(StoreErrorKind::Stale) }
    }

    /// Who owns what this epoch creates or takes back.
    pub(super) fn owner(&self, epoch: Epoch) -> i64 {
        let epoch = epoch.0.cast_signed();
        if self.is_acquired(epoch) { NOBODY } else { epoch }
    }

    fn is_acquired(&self, epoch: i64) -> bool {
        self.acquired == Some(epoch)
    }
}

/// Owns what can be claimed, and what whoever acquires the store has.
pub(super) const NOBODY: i64 = 0;
