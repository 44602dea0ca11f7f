//! Processes whole: what is read of them beside their records, and how they are added, in one transaction.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::bulk::{Kept, Rows};
use super::error::Fault;
use super::fence::still_holds;
use super::look::{Seen, Wanted};
use super::read::{get, text, text_of};
use super::same::same;
use super::server::{Patience, Server, Session};
use crate::process::ProcessId;
use crate::store::{Bundle, Creation, Epoch, Memo, Placement, Record, StoreErrorKind, StoreResult};

impl Server {
    pub(super) async fn memos(&self, pid: &ProcessId) -> StoreResult<Vec<Memo>> {
        const OPERATION: &str = "read memos in";
        let sql = concat!(
            "SELECT step, name, value FROM memo WHERE process = (SELECT id FROM process WHERE ",
            same!("pid", "$1::bytea"),
            ") ORDER BY step, name"
        );
        let memo = |row: &Row| {
            Ok(Memo { step: get::<i64>(row, 0)?.cast_unsigned(), name: text(row, 1)?, value: text(row, 2)? })
        };
        let rows = self.query(OPERATION, sql, &[&text_of(pid)]).await?;
        rows.iter().map(|row| memo(row).map_err(|fault| self.error(OPERATION, fault))).collect()
    }

    pub(super) async fn placement(&self, pid: &ProcessId) -> StoreResult<Placement> {
        const OPERATION: &str = "read a placement in";
        let sql = concat!(
            "SELECT queue, priority FROM checkpoint WHERE id = (SELECT id FROM process WHERE ",
            same!("pid", "$1::bytea"),
            ")"
        );
        let placement = |row: &Row| Ok(Placement { queue: text(row, 0)?, priority: get(row, 1)?, unowned: false });
        let row = self.row(OPERATION, sql, &[&text_of(pid)]).await?;
        let placement = row.as_ref().map(placement).transpose().map_err(|fault: Fault| self.error(OPERATION, fault))?;
        Ok(placement.unwrap_or_default())
    }

    /// All of them, or none.
    pub(super) async fn import(&self, epoch: Epoch, bundles: &[Bundle], kept: Kept) -> StoreResult<Creation> {
        let mut patience = self.patience();
        loop {
            match self.try_import(epoch, bundles, kept, &mut patience).await {
                Ok(creation) => return Ok(creation),
                Err(fault) => {
                    self.count(fault.kind);
                    patience.with(fault).await.map_err(|fault| self.error("import processes into", fault))?;
                }
            }
        }
    }

    async fn try_import(
        &self,
        epoch: Epoch,
        bundles: &[Bundle],
        kept: Kept,
        patience: &mut Patience,
    ) -> Result<Creation, Fault> {
        let session = self.session().await?;
        let mut wanted = Wanted::default();
        wanted.epoch(epoch);
        for Bundle { record, .. } in bundles {
            wanted.process(&record.pid);
            record.parent.iter().for_each(|parent| wanted.process(parent));
            record.awaiting.children.iter().for_each(|child| wanted.process(&child.pid));
            record.key.iter().for_each(|key| wanted.key(key));
        }
        wanted.free = i64::try_from(bundles.len()).unwrap_or(i64::MAX);
        let mut seen = self.timed(wanted.look(&session, &[], &self.spent)).await?;
        let ids = seen.free().collect();
        let done = match seen.fence.holds(epoch) {
            Ok(()) => Importing { session: &session, seen: &seen, ids, kept }.all(epoch, bundles).await,
            Err(kind) => Err(kind.into()),
        };
        match done {
            Ok(Creation::Created) => {
                self.end(session, seen.token, patience).await?;
                Ok(Creation::Created)
            }
            refused => {
                if session.run("ROLLBACK").await.is_ok() {
                    session.keep();
                }
                refused.map_err(Fault::before_sending)
            }
        }
    }
}

/// A transaction that holds the rows of those that the processes belong with.
struct Importing<'i> {
    session: &'i Session,
    seen: &'i Seen,
    /// For those that are added, in order.
    ids: Vec<i64>,
    kept: Kept,
}

impl Importing<'_> {
    async fn all(&self, epoch: Epoch, bundles: &[Bundle]) -> Result<Creation, Fault> {
        if let Some(exists) = bundles.iter().find_map(|bundle| self.existing(&bundle.record)) {
            return Ok(exists);
        }
        let new: HashMap<&ProcessId, i64> =
            bundles.iter().map(|bundle| &bundle.record.pid).zip(self.ids.iter().copied()).collect();
        let (mut given, mut rows) = (HashSet::new(), Rows::default());
        let ended: HashSet<&ProcessId> = bundles
            .iter()
            .filter(|bundle| bundle.record.state.is_terminal())
            .map(|bundle| &bundle.record.pid)
            .collect();
        for bundle in bundles {
            let record = &bundle.record;
            let there = |pid: &ProcessId| self.seen.process(pid).map(|found| found.id);
            let parent = match &record.parent {
                Some(parent) if given.contains(parent) => new.get(parent).copied(),
                Some(parent) => Some(there(parent).ok_or(StoreErrorKind::NotFound)?),
                None => None,
            };
            given.insert(&record.pid);
            let mut open = Vec::new();
            if !record.state.is_terminal() {
                for child in &record.awaiting.children {
                    match new.get(&child.pid) {
                        Some(id) if !ended.contains(&child.pid) => open.push(*id),
                        Some(_) => {}
                        None => drop(there(&child.pid).ok_or(StoreErrorKind::NotFound)?),
                    }
                }
            }
            let id = *new.get(&record.pid).ok_or(StoreErrorKind::Other)?;
            rows.add(id, parent, &open, bundle, self.kept);
        }
        rows.insert(self.session).await?;
        self.session.query("SELECT pg_notify(current_schema(), '0')", &[]).await?;
        self.session.query(STILL_HOLDS, &[&[epoch.0.cast_signed()].as_slice()]).await?;
        Ok(Creation::Created)
    }

    /// The process that has the key or the id.
    fn existing(&self, record: &Record) -> Option<Creation> {
        let by_key = record.key.as_ref().and_then(|key| self.seen.holder(key)).cloned();
        let by_id = || self.seen.process(&record.pid).map(|found| (record.pid.clone(), found.row.process.clone()));
        by_key.or_else(by_id).map(|(pid, process)| Creation::Exists { pid, process })
    }
}

const STILL_HOLDS: &str = still_holds!("$1");
