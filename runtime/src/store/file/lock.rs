//! The lock at which readers and writers of all OS processes meet, and which nobody waits for without end.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const CHANGE_LOCK: &str = "change.lock";

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
