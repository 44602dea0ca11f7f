//! A process whole: what one store gives to another.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::snapshot::{check_number, check_tag};
use super::{FORMAT, HistoryEntry, Placement, Record, ReportLine, Store, StoreError, StoreErrorKind, StoreResult};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{Ended, ProcessId};

/// A process whole (S94): all that a store keeps of it, but for what is asked of it and what it owes to others, which is nothing
/// to another store. Its children are bundles of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The process. How many of its children are open is counted where it comes to.
    pub record: Record,
    /// Where it belongs, on a store that workers share. It belongs to nobody.
    #[serde(default)]
    pub placement: Placement,
    /// Its transitions, oldest first.
    #[serde(default)]
    pub history: Vec<HistoryEntry>,
    /// Its report, oldest line first.
    #[serde(default)]
    pub report: Vec<ReportLine>,
    /// The memos of the step that it runs.
    #[serde(default)]
    pub memos: Vec<Memo>,
    /// Its snapshots, in the order of their tags.
    #[serde(default)]
    pub snapshots: Vec<SavedSnapshot>,
}

/// The memo of an effect within a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// The step, counted by those that are committed.
    pub step: u64,
    /// The effect.
    pub name: String,
    /// What came of it.
    pub value: String,
}

/// A snapshot with what is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedSnapshot {
    /// The name of the snapshot.
    pub tag: String,
    /// When it was taken.
    pub at: Timestamp,
    /// The process as it was then.
    pub record: Record,
}

/// Reads a process from a store as of one boundary; none if there is no such process.
pub(super) async fn export(store: &(impl Store + ?Sized), pid: &ProcessId) -> StoreResult<Option<Bundle>> {
    for _ in 0..limits::EXPORT_TRIES {
        let Some(record) = store.load(pid).await? else { return Ok(None) };
        let mut snapshots = Vec::new();
        for snapshot in store.snapshots_of(pid).await? {
            if let Some(record) = store.load_snapshot(pid, &snapshot.tag).await? {
                snapshots.push(SavedSnapshot { tag: snapshot.tag, at: snapshot.at, record });
            }
        }
        let bundle = Bundle {
            placement: store.placement(pid).await?,
            history: store.history(pid).await?,
            report: store.report(pid).await?,
            memos: store.memos(pid).await?,
            snapshots,
            record,
        };
        // Another boundary may have come in between, and the parts be of two.
        if store.load(pid).await?.as_ref() == Some(&bundle.record) {
            return Ok(Some(bundle));
        }
    }
    let source = "it changes faster than it can be read: pause it";
    Err(StoreError::new(StoreErrorKind::Busy, "export", format_args!("process `{pid}`")).with_source(source))
}

/// Refuses what no store has given.
pub(super) fn check_all(bundles: &[Bundle]) -> StoreResult<()> {
    let (mut pids, mut keys) = (HashSet::new(), HashSet::new());
    for bundle in bundles {
        bundle.check()?;
        let Record { pid, key, .. } = &bundle.record;
        if !pids.insert(pid) || key.as_ref().is_some_and(|key| !keys.insert(key)) {
            return Err(bundle.refuse(StoreErrorKind::Other, "its id, or its key, is given twice"));
        }
    }
    Ok(())
}

impl Bundle {
    /// Whether a store may take it: it is as one would have given it, whatever became of it on the way. Nothing is said of the
    /// processes that it belongs with.
    ///
    /// # Errors
    /// It was written by a [newer version](StoreErrorKind::NewerFormat) of this library, a text in it is
    /// [damaged](StoreErrorKind::Corrupt), or it is beyond a [limit](StoreErrorKind::Limit).
    pub fn check(&self) -> StoreResult<()> {
        let Self { record, memos, snapshots, placement, .. } = self;
        self.check_record(record)?;
        let fault = match (record.state.is_terminal(), record.ended.is_some()) {
            (true, false) => Some("it has ended, and nothing is said of how"),
            (false, true) => Some("it has not ended, and something is said of how"),
            _ => placement.unowned.then_some("nobody's is no placement of a process that is there"),
        };
        if let Some(fault) = fault {
            return Err(self.refuse(StoreErrorKind::Corrupt, fault));
        }
        let mut tags = HashSet::new();
        for SavedSnapshot { tag, record: saved, .. } in snapshots {
            check_tag(&record.pid, tag)?;
            self.check_record(saved)?;
            if saved.pid != record.pid || !tags.insert(tag) {
                return Err(self.refuse(StoreErrorKind::Corrupt, "a snapshot of it is another's, or there twice"));
            }
        }
        check_number(&record.pid, snapshots.len().saturating_sub(1))?;
        let mut known = HashSet::new();
        if !memos.iter().all(|memo| known.insert((memo.step, &memo.name))) {
            return Err(self.refuse(StoreErrorKind::Corrupt, "a memo of it is there twice"));
        }
        Ok(())
    }

    fn check_record(&self, record: &Record) -> StoreResult<()> {
        if record.envelope.format > FORMAT {
            return Err(self.refuse(StoreErrorKind::NewerFormat, "its format is newer"));
        }
        let Record { position, context, inputs, outputs, defaulted, listeners, ended, .. } = record;
        let optional = [defaulted, listeners, ended].into_iter().flatten();
        let bytes = [position, context, outputs].into_iter().chain(optional).map(String::len).sum::<usize>();
        if bytes.saturating_add(inputs.len()) > limits::RECORD_BYTES {
            return Err(self.refuse(StoreErrorKind::Limit, "it is too large (see `limits::RECORD_BYTES`)"));
        }
        let damaged = |what: &'static str, error: serde_json::Error| {
            self.refuse(StoreErrorKind::Corrupt, format!("its {what} cannot be read: {error}"))
        };
        serde_json::from_str::<Value>(position).map_err(|error| damaged("position", error))?;
        for (what, text) in [("context", &**context), ("inputs", &**inputs), ("outputs", &**outputs)] {
            serde_json::from_str::<Map<String, Value>>(text).map_err(|error| damaged(what, error))?;
        }
        for (what, text) in [("defaulted inputs", defaulted), ("listeners", listeners)] {
            if let Some(text) = text {
                serde_json::from_str::<Vec<Value>>(text).map_err(|error| damaged(what, error))?;
            }
        }
        if let Some(ended) = ended {
            let ended: Ended = serde_json::from_str(ended).map_err(|error| damaged("end", error))?;
            if ended.state() != record.state {
                return Err(self.refuse(StoreErrorKind::Corrupt, "its end is not that of its state"));
            }
        }
        Ok(())
    }

    pub(super) fn refuse(
        &self,
        kind: StoreErrorKind,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::new(kind, "import", format_args!("process `{}`", self.record.pid)).with_source(why)
    }
}
