//! Snapshots: a document each, named after the process and the tag.

use std::io::{self, ErrorKind};

use super::document::{RecordDocument, SnapshotDocument};
use super::journal::View;
use super::table::{self, Rows};
use super::{failed, names};
use crate::clock::Timestamp;
use crate::process::ProcessId;
use crate::store::rules::{self, Table};
use crate::store::snapshot::{check_number, check_tag, copy, listed};
use crate::store::{Record, Snapshot, StoreErrorKind, StoreResult};

pub(super) fn snapshots_of(view: &View<'_>, pid: &ProcessId) -> StoreResult<Vec<Snapshot>> {
    let names = view.snapshots_of(pid)?;
    let mut snapshots = names.iter().map(|name| snapshot(view, name)).collect::<StoreResult<Vec<_>>>()?;
    snapshots.sort_by(|one, other| one.tag.cmp(&other.tag));
    Ok(snapshots)
}

fn snapshot(view: &View<'_>, name: &str) -> StoreResult<Snapshot> {
    let failed = |error| failed("read a snapshot in", view.disk().root().display(), error);
    let document: Option<SnapshotDocument> = view.document(&format!("snapshots/{name}.json")).map_err(failed)?;
    let gone = || io::Error::new(ErrorKind::InvalidData, format!("the document `{name}` is gone"));
    let SnapshotDocument { tag, at, process } = document.ok_or_else(|| failed(gone()))?;
    Ok(listed(&process.into(), &tag, at))
}

pub(super) fn snapshots(
    view: &View<'_>,
    after: Option<&(ProcessId, String)>,
    most: usize,
) -> StoreResult<Vec<Snapshot>> {
    let after = after.map(|(pid, tag)| (pid.to_string(), tag.clone()));
    let failed = |error| failed("list snapshots in", view.disk().root().display(), error);
    let mut found = Vec::new();
    for name in view.list("snapshots").map_err(failed)? {
        let of_name = name.split_once('@').and_then(|(pid, tag)| Some((names::decode(pid)?, names::decode(tag)?)));
        let key = match of_name {
            Some(key) => key,
            // A long text: only the document has all of it.
            None => snapshot(view, &name).map(|snapshot| (snapshot.pid.to_string(), snapshot.tag))?,
        };
        if after.as_ref().is_none_or(|after| key > *after) {
            found.push((key, name));
        }
    }
    found.sort();
    found.truncate(most.max(1));
    found.iter().map(|(_, name)| snapshot(view, name)).collect()
}

pub(super) fn load_snapshot(view: &View<'_>, pid: &ProcessId, tag: &str) -> StoreResult<Option<Record>> {
    let Some(snapshot) = view.snapshot(pid, tag)? else { return Ok(None) };
    let snapshot = Record::from(snapshot.process);
    // Its parent may have been deleted since. A snapshot can be read where the process itself cannot.
    let parent = view.record(pid).map_or_else(|_| snapshot.parent.clone(), |present| present?.parent);
    Ok(Some(Record { parent, ..snapshot }))
}

pub(super) fn save_snapshot(rows: &mut Rows<'_>, pid: &ProcessId, tag: &str, at: Timestamp) -> StoreResult<()> {
    check_tag(pid, tag)?;
    let missing = rows.refuse(StoreErrorKind::NotFound, "save a snapshot of", pid);
    let process = RecordDocument::from(&copy(&rows.row(pid)?.ok_or(missing)?.record));
    let path = table::snapshot_path(pid, tag);
    let others = rows.view().snapshots_of(pid)?;
    check_number(pid, others.iter().filter(|name| format!("snapshots/{name}.json") != path).count())?;
    rows.put(path, &SnapshotDocument { tag: tag.to_owned(), at, process })
}

pub(super) fn delete_snapshots(rows: &mut Rows<'_>, pid: &ProcessId) -> StoreResult<u64> {
    let names = rows.view().snapshots_of(pid)?;
    for name in &names {
        rows.drop_document(format!("snapshots/{name}.json"));
    }
    Ok(names.len() as u64)
}

pub(super) fn restore(rows: &mut Rows<'_>, pid: &ProcessId, tag: &str, at: Timestamp) -> StoreResult<Record> {
    let snapshot = rows.view().snapshot(pid, tag)?.map(|snapshot| snapshot.process.into());
    rules::restore(rows, pid, snapshot, tag, at)
}
