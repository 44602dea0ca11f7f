//! The one owner: a lock of the operating system, and an epoch that outlives it.

use std::fs::File;

use super::document::{OwnerDocument, write};
use super::index::Index;
use super::journal::View;
use super::{Inner, State};
use crate::store::{Epoch, StoreError, StoreErrorKind, StoreResult, locking};

pub(super) const OWNER: &str = "owner.json";
/// The file stays when the lock is freed: if it were removed, two could hold a lock on two files of one name.
const OWNER_LOCK: &str = "owner.lock";

/// Held while a store is owned.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) epoch: Epoch,
    pub(super) index: Index,
    /// How many messages it has written.
    pub(super) messages: u64,
    lock: File,
}

/// Takes ownership at once or not at all; once more, under a later epoch, where it is owned here.
pub(super) fn acquire(inner: &Inner) -> StoreResult<Epoch> {
    const OPERATION: &str = "own";
    let failed = |error| inner.failed(OPERATION, error);
    inner.write(OPERATION, |view, state| {
        let lock = match state.owned.take() {
            Some(owned) => owned.lock,
            None => take_lock(inner)?,
        };
        let last: OwnerDocument = view.document(OWNER).map_err(failed)?.unwrap_or_default();
        let epoch = last.epoch + 1;
        let index = Index::read(view)?;
        let document = write(&OwnerDocument { epoch }).map_err(|error| failed(error.into()))?;
        let written = inner.disk.replace(OWNER, &document);
        inner.settle(OPERATION, state, written)?;
        state.owned = Some(Owned { epoch: Epoch(epoch), index, messages: 0, lock });
        Ok(Epoch(epoch))
    })
}

fn take_lock(inner: &Inner) -> StoreResult<File> {
    let file = inner.disk.lock_file(OWNER_LOCK).map_err(|error| inner.failed("own", error))?;
    match locking::own(&file) {
        Ok(true) => Ok(file),
        Ok(false) => Err(inner.fail(StoreErrorKind::InUse, "own")),
        Err(error) => Err(inner.failed("own", error)),
    }
}

/// Refuses what is written under an epoch that is not the latest.
pub(super) fn fence(
    view: &View<'_>,
    state: &mut State,
    epoch: Epoch,
    operation: &'static str,
    subject: &str,
) -> StoreResult<()> {
    let refused = || StoreError::new(StoreErrorKind::Stale, operation, subject);
    let owned = state.owned.as_ref().ok_or_else(refused)?.epoch;
    // The lock cannot be lost unless its file is removed; then the document tells.
    let latest: Option<OwnerDocument> =
        view.document(OWNER).map_err(|error| super::failed(operation, subject, error))?;
    if Epoch(latest.unwrap_or_default().epoch) != owned {
        state.owned = None;
        return Err(refused());
    }
    if owned == epoch { Ok(()) } else { Err(refused()) }
}
