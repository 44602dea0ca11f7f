//! Locks of files, by the operating system.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::limits;

/// How often is looked: a document is read or flushed in about as long.
const LOOK: Duration = Duration::from_millis(1);

/// Takes a lock, and waits so long for it; whether it was taken.
pub(super) fn take(file: &File, lock: fn(&File) -> Result<(), TryLockError>, most: Duration) -> io::Result<bool> {
    let start = Instant::now();
    let mut pause = LOOK / 16;
    loop {
        match lock(file) {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if start.elapsed() >= most => return Ok(false),
            Err(TryLockError::WouldBlock) => thread::sleep(pause),
        }
        pause = LOOK.min(pause * 2);
    }
}

/// Takes the lock of an owner; whether it was taken. A program that starts another one has, between the two halves of that, a copy of
/// each lock that it holds: one that is freed in this moment is not free before the copy is gone.
pub(super) fn own(file: &File) -> io::Result<bool> {
    take(file, File::try_lock, limits::OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_waits_for_a_lock_that_is_about_to_be_free_and_not_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let open = || File::create(folder.path().join("lock")).unwrap();
        let held = open();
        held.lock().unwrap();
        assert!(!own(&open()).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(limits::OWN / 4);
                drop(held);
            });
            assert!(own(&open()).unwrap());
        });
    }
}
