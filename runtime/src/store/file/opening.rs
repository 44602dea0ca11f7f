//! How a folder is recognised as a store, or made one.

use std::fs::File;
use std::io::ErrorKind;

use super::disk::Disk;
use super::document::{StoreDocument, VERSION, write};
use super::lock::CHANGE_LOCK;
use super::{FOLDERS, FileOptions, failed};
use crate::store::locking::take;
use crate::store::{StoreError, StoreErrorKind, StoreResult};

const OPERATION: &str = "open";
const MARK: &str = "store.json";

fn refuse(disk: &Disk, kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, OPERATION, disk.root().display())
}

fn refuse_with(disk: &Disk) -> impl Fn(std::io::Error) -> StoreError {
    |error| failed(OPERATION, disk.root().display(), error)
}

/// Sees whether a folder is a store, brings one of an earlier version up to date, and makes it one if it has nothing in it.
///
/// A folder of an earlier version has nothing that this one does not have: it can be read as it is.
pub(super) fn open(disk: &Disk, options: &FileOptions) -> StoreResult<()> {
    if !options.read_only {
        disk.make_root().map_err(refuse_with(disk))?;
    }
    match version(disk)? {
        Some(VERSION) => Ok(()),
        Some(_) if options.read_only => Ok(()),
        None if options.read_only => Err(refuse_with(disk)(ErrorKind::NotFound.into())),
        Some(_) => match change(disk, options) {
            // Where nothing can be written, nothing is written that an earlier version does not know.
            Err(error) if error.kind() == StoreErrorKind::ReadOnly => Ok(()),
            changed => changed,
        },
        // Without the lock: nothing is written into a folder that is someone else's.
        None if !is_empty(disk)? && version(disk)?.is_none() => Err(refuse(disk, StoreErrorKind::Corrupt)),
        None => change(disk, options),
    }
}

/// The version of a folder that is a store that can be read; none if nothing says so.
fn version(disk: &Disk) -> StoreResult<Option<u32>> {
    let Some(text) = disk.read(MARK).map_err(refuse_with(disk))? else { return Ok(None) };
    let mark: StoreDocument =
        serde_json::from_str(&text).map_err(|error| refuse(disk, StoreErrorKind::Corrupt).with_source(error))?;
    match mark.version {
        _ if mark.store != "procession" => Err(refuse(disk, StoreErrorKind::Corrupt)),
        version @ 1..=VERSION => Ok(Some(version)),
        0 => Err(refuse(disk, StoreErrorKind::Corrupt)),
        _ => Err(refuse(disk, StoreErrorKind::NewerFormat)),
    }
}

/// Makes a store of this version of a folder that has nothing in it, or is a store of an earlier one. Of several who do
/// so at once, one does it.
fn change(disk: &Disk, options: &FileOptions) -> StoreResult<()> {
    let locked = disk
        .lock_file(CHANGE_LOCK)
        .and_then(|file| take(&file, File::try_lock, options.busy).map(|locked| (file, locked)));
    let (_file, locked) = locked.map_err(refuse_with(disk))?;
    if !locked {
        return Err(refuse(disk, StoreErrorKind::Busy));
    }
    // Another may have been faster.
    match version(disk)? {
        Some(VERSION) => return Ok(()),
        None if !is_empty(disk)? => return Err(refuse(disk, StoreErrorKind::Corrupt)),
        _ => {}
    }
    disk.make_folders(&FOLDERS).map_err(refuse_with(disk))?;
    let mark = write(&StoreDocument { store: "procession".to_owned(), version: VERSION });
    let mark = mark.map_err(|error| refuse(disk, StoreErrorKind::Other).with_source(error))?;
    disk.replace(MARK, &mark).map_err(|failure| refuse_with(disk)(failure.into_error()))
}

/// Whether nothing is in a folder but what is there while a store is made, or was left when that was cut off.
fn is_empty(disk: &Disk) -> StoreResult<bool> {
    for entry in std::fs::read_dir(disk.root()).map_err(refuse_with(disk))? {
        let name = entry.map_err(refuse_with(disk))?.file_name();
        let name = name.to_str();
        if !name.is_some_and(|name| [".tmp", CHANGE_LOCK].contains(&name) || FOLDERS.contains(&name)) {
            return Ok(false);
        }
    }
    Ok(true)
}
