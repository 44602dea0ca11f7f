//! Rows from documents, and changed rows back to documents.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::document::{
    KeyDocument, MessageDocument, OwedDocument, ParkedDocument, ProcessDocument, SnapshotDocument, write,
};
use super::index::Index;
use super::journal::{Changes, View};
use super::{failed, names, of_process};
use crate::process::ProcessId;
use crate::store::rules::{Retention, Row, Table};
use crate::store::{
    Epoch, Message, OwedReply, Record, RequestId, SavedSnapshot, StoreError, StoreErrorKind, StoreResult,
};

pub(super) fn process_path(pid: &ProcessId) -> String {
    format!("processes/{}.json", names::encode(&pid.to_string()))
}

pub(super) fn parked_path(pid: &ProcessId) -> String {
    format!("parked/{}.json", names::encode(&pid.to_string()))
}

pub(super) fn key_path(key: &str) -> String {
    format!("keys/{}.json", names::encode(key))
}

/// What the names of a process's snapshots begin with.
pub(super) fn snapshot_prefix(pid: &ProcessId) -> String {
    format!("{}@", names::encode(&pid.to_string()))
}

pub(super) fn snapshot_path(pid: &ProcessId, tag: &str) -> String {
    format!("snapshots/{}{}.json", snapshot_prefix(pid), names::encode(tag))
}

/// What the names of the replies that a process owes begin with.
fn owed_prefix(pid: &ProcessId) -> String {
    format!("{}@", names::encode(&pid.to_string()))
}

pub(super) fn owed_path(pid: &ProcessId, id: &str) -> String {
    format!("owed/{}{}.json", owed_prefix(pid), names::encode(id))
}

pub(super) fn message_path(id: Uuid) -> String {
    format!("messages/{id}.json")
}

/// The name of a request: its place in the order, and for whom it is.
pub(super) fn request_name(id: RequestId, pid: &ProcessId) -> String {
    format!("{:019}@{}", id.0, names::encode(&pid.to_string()))
}

/// The id in the name of a request, and the name of the process.
pub(super) fn request_of(name: &str) -> Option<(RequestId, &str)> {
    let (id, pid) = name.split_once('@')?;
    Some((RequestId(id.parse().ok()?), pid))
}

impl View<'_> {
    /// A document; none if there is none.
    pub(super) fn document<T: DeserializeOwned>(&self, path: &str) -> io::Result<Option<T>> {
        let Some(text) = self.read(path)? else { return Ok(None) };
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// A process, with the text of its document.
    pub(super) fn row(&self, pid: &ProcessId) -> StoreResult<Option<(Row, String)>> {
        let failed = |error| failed("read", of_process(pid, self.disk().root()), error);
        let Some(text) = self.read(&process_path(pid)).map_err(failed)? else { return Ok(None) };
        let document: ProcessDocument = serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
        let mut row = Row::from(document);
        if row.record.pid != *pid {
            let other = format!("it is the document of process `{}`", row.record.pid);
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, other)));
        }
        let parked: Option<ParkedDocument> = self.document(&parked_path(pid)).map_err(failed)?;
        row.record.parked = parked.map(|parked| parked.reason);
        Ok(Some((row, text)))
    }

    pub(super) fn record(&self, pid: &ProcessId) -> StoreResult<Option<Record>> {
        Ok(self.row(pid)?.map(|(row, _)| row.record))
    }

    /// How many of the children that a process waits for are parked, or are not there.
    pub(super) fn vain_children(&self, parent: &Record) -> StoreResult<usize> {
        if parent.open_children == 0 {
            return Ok(0);
        }
        let failed = |error| failed("read", of_process(&parent.pid, self.disk().root()), error);
        let mut vain = 0;
        for child in self.row(&parent.pid)?.iter().flat_map(|(row, _)| &row.open) {
            let parked = self.read(&parked_path(child)).map_err(failed)?.is_some();
            let there = self.read(&process_path(child)).map_err(failed)?.is_some();
            vain += usize::from(parked || !there);
        }
        Ok(vain)
    }

    pub(super) fn holder(&self, key: &str) -> StoreResult<Option<ProcessId>> {
        let failed = |error| failed("find a key in", self.disk().root().display(), error);
        let found: Option<KeyDocument> = self.document(&key_path(key)).map_err(failed)?;
        Ok(found.filter(|found| found.key == key).map(|found| found.pid))
    }

    pub(super) fn snapshot(&self, pid: &ProcessId, tag: &str) -> StoreResult<Option<SnapshotDocument>> {
        let failed = |error| failed("read a snapshot of", of_process(pid, self.disk().root()), error);
        let found: Option<SnapshotDocument> = self.document(&snapshot_path(pid, tag)).map_err(failed)?;
        Ok(found.filter(|found| found.tag == tag && found.process.pid == *pid))
    }

    /// The names of a process's snapshots.
    pub(super) fn snapshots_of(&self, pid: &ProcessId) -> StoreResult<Vec<String>> {
        let failed = |error| failed("list the snapshots of", of_process(pid, self.disk().root()), error);
        let (mut names, prefix) = (self.list("snapshots").map_err(failed)?, snapshot_prefix(pid));
        names.retain(|name| name.starts_with(&prefix));
        Ok(names)
    }

    /// The names of the replies that a process owes.
    fn owed_by(&self, pid: &ProcessId) -> StoreResult<Vec<String>> {
        let failed = |error| failed("list the owed replies of", of_process(pid, self.disk().root()), error);
        let (mut names, prefix) = (self.list("owed").map_err(failed)?, owed_prefix(pid));
        names.retain(|name| name.starts_with(&prefix));
        Ok(names)
    }

    /// The names of all requests.
    pub(super) fn requests(&self) -> StoreResult<Vec<String>> {
        self.list("requests").map_err(|error| failed("list requests in", self.disk().root().display(), error))
    }
}

/// Rows that are changed together: nothing is written before all of them have been.
pub(super) struct Rows<'v> {
    view: &'v View<'v>,
    retention: Retention,
    next_order: u64,
    staged: BTreeMap<ProcessId, Staged>,
    keys: BTreeMap<String, Option<ProcessId>>,
    requests: Vec<RequestId>,
    /// Those to whom all requests are removed.
    unasked: Vec<ProcessId>,
    aside: Vec<ProcessId>,
    /// Documents that are no rows.
    others: Changes,
    /// How many messages this owner has written.
    pub(super) messages: u64,
}

#[derive(Default)]
struct Staged {
    row: Option<Row>,
    /// As it stands in the folder.
    text: Option<String>,
    was_parked: bool,
    changed: bool,
}

impl<'v> Rows<'v> {
    pub(super) fn new(view: &'v View<'v>, retention: Retention, index: &Index, messages: u64) -> Self {
        Self {
            view,
            retention,
            next_order: index.next_order(),
            staged: BTreeMap::new(),
            keys: BTreeMap::new(),
            requests: Vec::new(),
            unasked: Vec::new(),
            aside: Vec::new(),
            others: Changes::new(),
            messages,
        }
    }

    pub(super) fn view(&self) -> &'v View<'v> {
        self.view
    }

    /// Stages a document that is no row.
    pub(super) fn put<T: Serialize>(&mut self, path: String, document: &T) -> StoreResult<()> {
        let text = write(document).map_err(|error| self.unwritable(error))?;
        self.others.insert(path, Some(text));
        Ok(())
    }

    /// Whether a document is in the folder, or is to be.
    pub(super) fn is_there(&self, path: &str) -> StoreResult<bool> {
        let failed = |error| failed("read a document in", self.view.disk().root().display(), error);
        match self.others.get(path) {
            Some(text) => Ok(text.is_some()),
            None => Ok(self.view.read(path).map_err(failed)?.is_some()),
        }
    }

    /// Puts a process aside whose document is there, under this name, but cannot be read.
    pub(super) fn park_unreadable(&mut self, pid: &ProcessId, name: &str, reason: String) -> StoreResult<()> {
        self.put(format!("parked/{name}.json"), &ParkedDocument { pid: pid.clone(), reason })?;
        self.aside.push(pid.clone());
        Ok(())
    }

    pub(super) fn drop_document(&mut self, path: String) {
        self.others.insert(path, None);
    }

    fn unwritable(&self, error: serde_json::Error) -> StoreError {
        StoreError::new(StoreErrorKind::Other, "write to", self.view.disk().root().display()).with_source(error)
    }

    fn staged(&mut self, pid: &ProcessId) -> StoreResult<&mut Staged> {
        if !self.staged.contains_key(pid) {
            let staged = match self.view.row(pid)? {
                Some((row, text)) => {
                    Staged { was_parked: row.record.parked.is_some(), row: Some(row), text: Some(text), changed: false }
                }
                None => Staged::default(),
            };
            self.staged.insert(pid.clone(), staged);
        }
        Ok(self.staged.entry(pid.clone()).or_default())
    }

    /// All that is to be written.
    pub(super) fn changes(&self) -> StoreResult<Changes> {
        let mut changes = self.others.clone();
        for (pid, staged) in self.staged.iter().filter(|(_, staged)| staged.changed) {
            let Some(row) = &staged.row else {
                changes.insert(process_path(pid), None);
                if staged.was_parked {
                    changes.insert(parked_path(pid), None);
                }
                continue;
            };
            let text = write(&ProcessDocument::from(row)).map_err(|error| self.unwritable(error))?;
            if staged.text.as_ref() != Some(&text) {
                changes.insert(process_path(pid), Some(text));
            }
            if let Some(reason) = row.record.parked.clone() {
                let parked = ParkedDocument { pid: pid.clone(), reason };
                changes.insert(parked_path(pid), Some(write(&parked).map_err(|error| self.unwritable(error))?));
            } else if staged.was_parked {
                changes.insert(parked_path(pid), None);
            }
        }
        for (key, pid) in &self.keys {
            let document = pid.clone().map(|pid| KeyDocument { key: key.clone(), pid });
            let text = document.map(|document| write(&document)).transpose();
            changes.insert(key_path(key), text.map_err(|error| self.unwritable(error))?);
        }
        self.drop_requests(&mut changes)?;
        Ok(changes)
    }

    fn drop_requests(&self, changes: &mut Changes) -> StoreResult<()> {
        if self.requests.is_empty() && self.unasked.is_empty() {
            return Ok(());
        }
        let unasked: Vec<_> = self.unasked.iter().map(|pid| names::encode(&pid.to_string())).collect();
        for name in self.view.requests()? {
            let Some((id, pid)) = request_of(&name) else { continue };
            if self.requests.contains(&id) || unasked.iter().any(|unasked| unasked == pid) {
                changes.insert(format!("requests/{name}.json"), None);
            }
        }
        Ok(())
    }

    /// Tells the index what has been written.
    pub(super) fn note(&self, index: &mut Index) {
        for (pid, staged) in self.staged.iter().filter(|(_, staged)| staged.changed) {
            match &staged.row {
                Some(row) => index.note(row),
                None => index.remove(pid),
            }
        }
        self.aside.iter().for_each(|pid| index.park(pid));
    }
}

impl Table for Rows<'_> {
    fn row(&mut self, pid: &ProcessId) -> StoreResult<Option<&Row>> {
        Ok(self.staged(pid)?.row.as_ref())
    }

    fn row_mut(&mut self, pid: &ProcessId) -> StoreResult<Option<&mut Row>> {
        let staged = self.staged(pid)?;
        staged.changed |= staged.row.is_some();
        Ok(staged.row.as_mut())
    }

    fn holder(&mut self, key: &str) -> StoreResult<Option<ProcessId>> {
        match self.keys.get(key) {
            Some(holder) => Ok(holder.clone()),
            None => self.view.holder(key),
        }
    }

    fn insert(&mut self, row: Row) {
        if let Some(key) = &row.record.key {
            self.keys.insert(key.clone(), Some(row.record.pid.clone()));
        }
        let order = self.next_order;
        self.next_order += 1;
        let staged = self.staged.entry(row.record.pid.clone()).or_default();
        staged.row = Some(Row { order, ..row });
        staged.changed = true;
    }

    fn remove(&mut self, record: &Record) -> StoreResult<()> {
        for name in self.view.snapshots_of(&record.pid)? {
            self.drop_document(format!("snapshots/{name}.json"));
        }
        for name in self.view.owed_by(&record.pid)? {
            self.drop_document(format!("owed/{name}.json"));
        }
        if let Some(key) = &record.key {
            self.keys.insert(key.clone(), None);
        }
        self.remove_requests_to(&record.pid);
        let staged = self.staged(&record.pid)?;
        staged.row = None;
        staged.changed = true;
        Ok(())
    }

    fn remove_request(&mut self, request: RequestId) {
        self.requests.push(request);
    }

    fn remove_requests_to(&mut self, pid: &ProcessId) {
        self.unasked.push(pid.clone());
    }

    fn owes_besides(&mut self, pid: &ProcessId, id: &str) -> StoreResult<usize> {
        let path = owed_path(pid, id);
        Ok(self.view.owed_by(pid)?.iter().filter(|name| format!("owed/{name}.json") != path).count())
    }

    fn owe(&mut self, sender: Epoch, pid: &ProcessId, reply: OwedReply) -> StoreResult<()> {
        let path = owed_path(pid, &reply.id);
        self.put(path, &OwedDocument { pid: pid.clone(), id: reply.id, address: reply.address, sender })
    }

    fn post(&mut self, sender: Epoch, pid: &ProcessId, message: Message) -> StoreResult<()> {
        let path = message_path(message.id);
        if self.is_there(&path)? {
            return Ok(());
        }
        self.messages += 1;
        let written = (sender, self.messages);
        self.put(path, &MessageDocument { pid: pid.clone(), written, sender, message })
    }

    fn put_snapshot(&mut self, snapshot: SavedSnapshot) -> StoreResult<()> {
        let SavedSnapshot { tag, at, record } = snapshot;
        let path = snapshot_path(&record.pid, &tag);
        self.put(path, &SnapshotDocument { tag, at, process: (&record).into() })
    }

    fn retention(&self) -> Retention {
        self.retention
    }

    fn refuse(&self, kind: StoreErrorKind, operation: &'static str, pid: &ProcessId) -> StoreError {
        StoreError::new(kind, operation, of_process(pid, self.view.disk().root()))
    }
}
