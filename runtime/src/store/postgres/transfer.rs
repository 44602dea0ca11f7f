//! Processes whole: what is read of them beside their records, and how they are added, in one transaction.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::batch::wakes;
use super::error::Fault;
use super::fence::{NOBODY, still_holds};
use super::look::{Seen, Wanted};
use super::read::{get, text, text_of};
use super::same::same;
use super::server::{Params, Patience, Server, Session};
use crate::process::ProcessId;
use crate::store::search::exit_code;
use crate::store::{
    Awaiting, Bundle, Creation, Epoch, Memo, Placement, Record, SavedSnapshot, StatusText, StoreErrorKind, StoreResult,
};

/// How much is kept of the history and the report of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) history: u64,
    pub(super) reports: u64,
}

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
        let mut given = HashSet::new();
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
            self.insert(id, parent, &open, bundle).await?;
        }
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

    async fn insert(&self, id: i64, parent: Option<i64>, open: &[i64], bundle: &Bundle) -> Result<(), Fault> {
        let Bundle { record, placement, history, report, memos, snapshots } = bundle;
        let history = &history[history.len().saturating_sub(bound(self.kept.history))..];
        let report = &report[report.len().saturating_sub(bound(self.kept.reports))..];
        self.insert_record(id, parent, !open.is_empty(), placement, (record, history.len(), report.len())).await?;
        let children = "INSERT INTO open_child (parent, child) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING";
        self.session.query(children, &[&id, &open]).await?;
        for (ordinal, entry) in (1_i64..).zip(history) {
            let (from, to, steps) = (entry.from.as_str(), entry.to.as_str(), entry.steps.cast_signed());
            let parameters: Params<'_> =
                &[&id, &ordinal, &entry.at.as_millis(), &steps, &from, &to, &entry.point.as_bytes()];
            self.session.query("INSERT INTO history VALUES ($1, $2, $3, $4, $5, $6, $7)", parameters).await?;
        }
        for (ordinal, line) in (1_i64..).zip(report) {
            let parameters: Params<'_> = &[&id, &ordinal, &line.at.as_millis(), &line.text.as_bytes()];
            self.session.query("INSERT INTO report VALUES ($1, $2, $3, $4)", parameters).await?;
        }
        for Memo { step, name, value } in memos {
            let parameters: Params<'_> = &[&id, &step.cast_signed(), &name.as_bytes(), &value.as_bytes()];
            self.session.query("INSERT INTO memo VALUES ($1, $2, $3, $4)", parameters).await?;
        }
        for snapshot in snapshots {
            self.insert_snapshot(id, snapshot).await?;
        }
        Ok(())
    }

    async fn insert_record(
        &self,
        id: i64,
        parent: Option<i64>,
        has_open: bool,
        placement: &Placement,
        (record, transitions, reports): (&Record, usize, usize),
    ) -> Result<(), Fault> {
        let optional = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        let parameters: Params<'_> = &[
            &id,
            &text_of(&record.pid),
            &optional(&record.key),
            &parent,
            &record.follows,
            &record.created_at.as_millis(),
            &record.inputs.as_bytes(),
            &optional(&record.defaulted),
        ];
        self.session.query(PROCESS, parameters).await?;
        let (envelope, (status, awaiting)) = (&record.envelope, texts(record)?);
        let listeners = record.listeners.as_deref().unwrap_or_default().as_bytes();
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let parameters: Params<'_> = &[
            &id,
            &record.state.as_str(),
            &record.paused,
            &record.steps.cast_signed(),
            &record.updated_at.as_millis(),
            &count(transitions),
            &count(reports),
            &i64::from(envelope.version),
            &i64::from(envelope.format),
            &envelope.process.as_bytes(),
            &envelope.fingerprint.as_bytes(),
            &status,
            &awaiting,
            &listeners,
            &record.position.as_bytes(),
            &record.context.as_bytes(),
            &record.outputs.as_bytes(),
            &optional(&record.ended),
            &optional(&record.parked),
            &NOBODY,
            &placement.queue.as_bytes(),
            &placement.priority,
            &wakes(&record.awaiting),
            &has_open,
            &exit_code(record.state, record.ended.as_deref()),
        ];
        self.session.query(CHECKPOINT, parameters).await.map(drop)
    }

    async fn insert_snapshot(&self, id: i64, snapshot: &SavedSnapshot) -> Result<(), Fault> {
        let SavedSnapshot { tag, at, record } = snapshot;
        let (envelope, (status, awaiting)) = (&record.envelope, texts(record)?);
        let listeners = record.listeners.as_deref().unwrap_or_default().as_bytes();
        let parameters: Params<'_> = &[
            &id,
            &text_of(&record.pid),
            &tag.as_bytes(),
            &at.as_millis(),
            &record.state.as_str(),
            &record.paused,
            &record.steps.cast_signed(),
            &record.updated_at.as_millis(),
            &record.open_children.cast_signed(),
            &i64::from(envelope.version),
            &i64::from(envelope.format),
            &envelope.process.as_bytes(),
            &envelope.fingerprint.as_bytes(),
            &status,
            &awaiting,
            &listeners,
            &record.position.as_bytes(),
            &record.context.as_bytes(),
            &record.outputs.as_bytes(),
            &record.ended.as_ref().map(|ended| ended.clone().into_bytes()),
        ];
        self.session.query(SNAPSHOT, parameters).await.map(drop)
    }
}

fn bound(most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// The status and what is awaited, as they stand in a row: none is an empty text.
fn texts(record: &Record) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let status = Some(&record.status).filter(|status| **status != StatusText::default());
    let awaiting = Some(&record.awaiting).filter(|awaiting: &&Awaiting| !awaiting.is_empty());
    let status = status.map(serde_json::to_vec).transpose().map_err(Fault::damaged)?;
    let awaiting = awaiting.map(serde_json::to_vec).transpose().map_err(Fault::damaged)?;
    Ok((status.unwrap_or_default(), awaiting.unwrap_or_default()))
}

const PROCESS: &str = "INSERT INTO process (id, pid, key, parent, follows, created_at, inputs, defaulted)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

const CHECKPOINT: &str = "INSERT INTO checkpoint (id, state, paused, steps, updated_at, transitions, reports, version, format,
    process, fingerprint, status, awaiting, listeners, position, context, outputs, ended, parked, owner, queue, priority,
    wakes, has_open, exit_code) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
    $19, $20, $21, $22, $23, $24, $25)";

const SNAPSHOT: &str =
    "INSERT INTO snapshot (process_id, pid, tag, at, state, paused, steps, updated_at, open_children,
    version, format, process, fingerprint, status, awaiting, listeners, position, context, outputs, ended)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";

const STILL_HOLDS: &str = still_holds!("$1");
