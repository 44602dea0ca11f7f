//! The lock at which readers and writers of all OS processes meet, and which nobody waits for without end.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::locking::take;

pub(super) const CHANGE_LOCK: &str = "change.lock";

/// Who waits for the lock, one after the other.
#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    gave_up: Mutex<Option<Instant>>,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, gave_up: Mutex::default() }
    }

    /// Takes a lock for a call that began at an instant. One that began before another gave up has waited as long as
    /// that one: all that queue behind one another give up together.
    pub(super) fn take(
        &self,
        file: &File,
        lock: fn(&File) -> Result<(), TryLockError>,
        began: Instant,
    ) -> io::Result<bool> {
        let gave_up = *self.gave_up.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if gave_up.is_some_and(|gave_up| gave_up > began) { Duration::ZERO } else { self.most };
        let taken = take(file, lock, most)?;
        if !taken {
            *self.gave_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(taken)
    }
}
