//! The lock of the one owner: a file beside the store, locked by the system, so that it is free when the owner's
//! OS process is gone, however it went.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::store::{StoreError, StoreErrorKind, StoreResult, locking};

/// Held while a store is owned.
#[derive(Debug)]
pub(super) struct OwnerLock {
    _file: File,
}

impl OwnerLock {
    /// Takes the lock of the store at `path`, soon or not at all.
    pub(super) fn take(path: &Path) -> StoreResult<Self> {
        let subject = path.display();
        let failed = |error: std::io::Error| StoreError::new(StoreErrorKind::Io, "own", &subject).with_source(error);
        // The file stays when the lock is freed: if it were removed, two could hold a lock on two files of one name.
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(lock_path(path)).map_err(failed)?;
        match locking::own(&file) {
            Ok(true) => Ok(Self { _file: file }),
            Ok(false) => Err(StoreError::new(StoreErrorKind::InUse, "own", subject)),
            Err(error) => Err(failed(error)),
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
