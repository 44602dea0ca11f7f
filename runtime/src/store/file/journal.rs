//! Changes of several documents as one: written to the journal first, which takes its place as a whole, and then
//! carried out. Until that is done, who reads sees the journal's documents instead of the folder's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::disk::{Disk, Failure, folder_of};

const JOURNAL: &str = "journal.json";

/// Documents by their paths, as they will be; none where one is removed.
pub(super) type Changes = BTreeMap<String, Option<String>>;

/// The documents as of the last change, carried out or not.
#[derive(Debug)]
pub(super) struct View<'d> {
    disk: &'d Disk,
    pending: Changes,
}

impl<'d> View<'d> {
    pub(super) fn new(disk: &'d Disk) -> io::Result<Self> {
        let pending = match disk.read(JOURNAL)? {
            Some(text) => serde_json::from_str(&text)?,
            None => Changes::new(),
        };
        Ok(Self { disk, pending })
    }

    pub(super) fn disk(&self) -> &'d Disk {
        self.disk
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Option<String>> {
        match self.pending.get(path) {
            Some(text) => Ok(text.clone()),
            None => self.disk.read(path),
        }
    }

    /// The names of the documents in a folder, without their ending.
    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = self.disk.list(folder)?;
        for (path, text) in &self.pending {
            let name = path.strip_prefix(folder).and_then(|path| path.strip_prefix('/'));
            let Some(name) = name.and_then(|name| name.strip_suffix(".json")) else { continue };
            names.retain(|known| known != name);
            if text.is_some() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Carries out what a crash, or a full disk, left to be done.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if !self.pending.is_empty() {
            finish(self.disk, &self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}

fn apply(disk: &Disk, path: &str, text: Option<&str>) -> Result<(), Failure> {
    match text {
        Some(text) => disk.replace(path, text),
        None => disk.remove(path),
    }
}

fn finish(disk: &Disk, changes: &Changes) -> Result<(), Failure> {
    for (path, text) in changes {
        match text {
            Some(text) => disk.place(path, text)?,
            None => disk.unlink(path)?,
        }
    }
    // Each once, however many of its documents have changed, and all before the journal goes.
    let folders: BTreeSet<_> = changes.keys().map(|path| folder_of(path)).collect();
    folders.into_iter().try_for_each(|folder| disk.flush(folder))?;
    disk.remove(JOURNAL)
}

/// What is to be known of changes that were made.
#[derive(Debug)]
pub(super) enum Made {
    /// The next who writes goes on from here.
    Known,
    /// They were made, but how much of the journal is on the disk is not known: whoever wrote on could find an older
    /// document in its place after a power failure.
    Unknown(io::Error),
}

/// Makes changes, all or none of them. There must be nothing that is left to be done.
pub(super) fn commit(disk: &Disk, changes: &Changes) -> Result<Made, Failure> {
    if let (1, Some((path, text))) = (changes.len(), changes.first_key_value()) {
        return apply(disk, path, text.as_deref()).map(|()| Made::Known);
    }
    if changes.is_empty() {
        return Ok(Made::Known);
    }
    let text = serde_json::to_string(changes).map_err(|error| Failure::Undone(error.into()))?;
    disk.replace(JOURNAL, &text)?;
    // From here on it is done, whatever happens: the journal holds it.
    match finish(disk, changes) {
        Ok(()) => Ok(Made::Known),
        Err(Failure::Undone(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a journal is left to be carried out");
            Ok(Made::Known)
        }
        Err(Failure::Unknown(error)) => Ok(Made::Unknown(error)),
    }
}
