//! When there may be something to do for a worker: SQLite tells nobody, so the file is looked at.
//!
//! Whoever brings something about counts it in the rows of the workers that it is for, within the same transaction. Whether
//! anyone has written at all is known without a query, by a number that SQLite keeps.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::Notify;

use super::SqliteOptions;
use super::error::engine;
use super::read::data_version;
use super::schema;
use crate::clock::{Clock, SystemClock};
use crate::limits;
use crate::store::{Epoch, StoreError, StoreErrorKind, StoreResult};

#[derive(Debug)]
pub(super) struct Bell {
    path: PathBuf,
    options: SqliteOptions,
    watch: Mutex<Watch>,
    /// Told by the writer of this OS process.
    rung: Notify,
}

#[derive(Debug, Default)]
struct Watch {
    connection: Option<Connection>,
    /// The state of the file when each worker was looked for, and what it was told by then.
    seen: HashMap<Epoch, (i64, i64)>,
}

/// What a worker finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Something,
    Stale,
}

const LOOK: &str = "SELECT news, lapses_at > ?2 FROM worker WHERE epoch = ?1 AND lapsed = 0";

impl Bell {
    pub(super) fn new(path: PathBuf, options: SqliteOptions) -> Self {
        Self { path, options, watch: Mutex::default(), rung: Notify::new() }
    }

    /// Something was written that may be for a worker of this OS process.
    pub(super) fn ring(&self) {
        self.rung.notify_waiters();
    }

    /// A worker has left.
    pub(super) fn forget(&self, epoch: Epoch) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).seen.remove(&epoch);
    }

    /// Waits until something may have come about for a worker, or it is time to look all the same.
    pub(super) async fn work(self: &Arc<Self>, epoch: Epoch) -> StoreResult<()> {
        let fail = |kind| StoreError::new(kind, "wait for work in", self.path.display());
        let start = Instant::now();
        loop {
            let rung = self.rung.notified();
            let late = start.elapsed() >= limits::WORK;
            match self.look(epoch, late).await? {
                Found::Stale => return Err(fail(StoreErrorKind::Stale)),
                Found::Something => return Ok(()),
                Found::Nothing if late => return Ok(()),
                Found::Nothing => {}
            }
            // Whoever rings has committed: the next look finds it.
            let _ = tokio::time::timeout(limits::SQLITE_WORK_POLL, rung).await;
        }
    }

    /// Where nobody has written since the last look, the file is not even queried, unless that is wanted.
    async fn look(self: &Arc<Self>, epoch: Epoch, thoroughly: bool) -> StoreResult<Found> {
        let failed = |error| engine("wait for work in", self.path.display(), error);
        if !thoroughly && self.try_watch().is_some_and(|watch| watch.still_nothing(epoch)) {
            return Ok(Found::Nothing);
        }
        let bell = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || {
            let mut watch = bell.watch.lock().unwrap_or_else(PoisonError::into_inner);
            watch.look(epoch, || schema::open_reader(&bell.path, &bell.options, false))
        });
        let closed = |_| StoreError::new(StoreErrorKind::Closed, "wait for work in", self.path.display());
        looked.await.map_err(closed)?.map_err(failed)
    }

    fn try_watch(&self) -> Option<MutexGuard<'_, Watch>> {
        match self.watch.try_lock() {
            Ok(watch) => Some(watch),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Watch {
    fn still_nothing(&self, epoch: Epoch) -> bool {
        let (Some(connection), Some((version, _))) = (&self.connection, self.seen.get(&epoch)) else { return false };
        data_version(connection).is_ok_and(|now| now == *version)
    }

    fn look(&mut self, epoch: Epoch, open: impl FnOnce() -> rusqlite::Result<Connection>) -> rusqlite::Result<Found> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(open()?),
        };
        // Before the query: what comes in between is then found by the next look.
        let version = data_version(connection)?;
        let now = SystemClock.now().as_millis();
        let mut query = connection.prepare_cached(LOOK)?;
        let row = query.query_row([epoch.0.cast_signed(), now], |row| Ok((row.get(0)?, row.get::<_, bool>(1)?)));
        let Some((news, true)) = row.optional()? else {
            self.seen.remove(&epoch);
            return Ok(Found::Stale);
        };
        let before = self.seen.insert(epoch, (version, news));
        Ok(if before.is_some_and(|(_, before)| before == news) { Found::Nothing } else { Found::Something })
    }
}
