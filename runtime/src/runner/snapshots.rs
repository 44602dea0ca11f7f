//! Snapshots, the way back to one, and the removal of what has ended.

use std::sync::Arc;

use super::caught::caught;
use super::shared::Shared;
use super::{AnyHandle, RunError, Runtime};
use crate::process::{ProcessId, Slot};
use crate::store::{Record, Snapshot, Store};
use crate::text::suggest;

impl AnyHandle {
    /// Keeps a copy of the process, as of its last boundary, under a tag; one under the same tag is replaced (S99).
    /// [`Runtime::restore`] goes back to it.
    ///
    /// The process goes on meanwhile: to know where it is copied, pause it first.
    ///
    /// # Errors
    /// The tag is too long, the process has too many snapshots ([`limits`](crate::limits)), the store failed, or there
    /// is none.
    pub async fn snapshot(&self, tag: &str) -> Result<(), RunError> {
        let env = &self.shared.env;
        Ok(stored(&self.shared, "keep a snapshot")?
            .save_snapshot(env.epoch(), self.pid(), tag, env.clock.now())
            .await?)
    }

    /// The snapshots of the process, in the order of their tags. Those of all processes are in the
    /// [store](Store::snapshots).
    ///
    /// # Errors
    /// The store failed, or there is none.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, RunError> {
        Ok(stored(&self.shared, "keep snapshots")?.snapshots_of(self.pid()).await?)
    }

    /// Deletes a snapshot; gives whether there was one.
    ///
    /// # Errors
    /// The store failed, or there is none.
    pub async fn delete_snapshot(&self, tag: &str) -> Result<bool, RunError> {
        let epoch = self.shared.env.epoch();
        Ok(stored(&self.shared, "keep snapshots")?.delete_snapshot(epoch, self.pid(), tag).await?)
    }

    /// Deletes all snapshots of the process; gives how many there were.
    ///
    /// # Errors
    /// The store failed, or there is none.
    pub async fn delete_snapshots(&self) -> Result<u64, RunError> {
        let epoch = self.shared.env.epoch();
        Ok(stored(&self.shared, "keep snapshots")?.delete_snapshots(epoch, self.pid()).await?)
    }
}

impl Runtime {
    /// Brings a process that does not run back to a snapshot, and lets it go on from there: one that has ended, was
    /// parked, or is suspended. To go back with one that runs, kill it first.
    ///
    /// Its context, outputs, program point, status and what it waits for are those of the snapshot. Its steps go on
    /// counting, so that the steps that run again have idempotency keys of their own and launch children of their own.
    /// Children that the snapshot waits for are not brought back: their ends are taken where they have ended. A parent
    /// that has seen the process end is not told of its second end. Handles of before keep the end that they have seen.
    ///
    /// # Errors
    /// The process runs here; there is no such snapshot; the snapshot has ended, cannot be read, or waits for a child
    /// that was deleted; the process has ended, and its parent, which has not, still waits with that end; the store
    /// failed; or there is none.
    pub async fn restore(&self, pid: &ProcessId, tag: &str) -> Result<AnyHandle, RunError> {
        let shared = Arc::clone(self.shared());
        let (pid, tag) = (pid.clone(), tag.to_owned());
        // On a task of its own: if the caller goes away meanwhile, what the store has is run all the same.
        let restoring = self.shared().tokio.spawn(async move { restore(&shared, &pid, &tag).await });
        let (slot, process) = restoring.await.map_err(|_| RunError::Closed)??;
        Ok(AnyHandle::new(Arc::clone(self.shared()), slot, &process))
    }

    /// Deletes a process that has ended, with all that is kept of it; gives whether there was one. Its id and its key
    /// are free then. A [`Child`](crate::Child) of it that some context still holds will never tell its end.
    ///
    /// # Errors
    /// The process, or its parent, has not ended; the store failed; or there is none.
    pub async fn delete(&self, pid: &ProcessId) -> Result<bool, RunError> {
        let shared = self.shared();
        let store = stored(shared, "delete")?;
        let _adopting = shared.adoption.write().await;
        absent(shared, pid, "delete")?;
        Ok(store.delete(shared.env.epoch(), pid).await?)
    }
}

fn stored<'s>(shared: &'s Shared, request: &'static str) -> Result<&'s Arc<dyn Store>, RunError> {
    shared.store().ok_or(RunError::Volatile { request })
}

/// Refuses a process that runs here.
fn absent(shared: &Shared, pid: &ProcessId, request: &'static str) -> Result<(), RunError> {
    let Some(entry) = shared.entry(pid) else { return Ok(()) };
    let state = entry.lock().view.state;
    Err(RunError::InvalidState { pid: pid.clone(), state, request })
}

async fn restore(shared: &Arc<Shared>, pid: &ProcessId, tag: &str) -> Result<(Arc<Slot>, String), RunError> {
    let store = stored(shared, "restore")?;
    if shared.is_closing() {
        return Err(RunError::Closed);
    }
    // Nobody brings it from the store meanwhile.
    let _adopting = shared.adoption.write().await;
    absent(shared, pid, "restore")?;
    let Some(snapshot) = store.load_snapshot(pid, tag).await? else {
        return Err(no_snapshot(&**store, pid, tag).await?);
    };
    if snapshot.state.is_terminal() {
        let request = "go on from a snapshot in this state";
        return Err(RunError::InvalidState { pid: pid.clone(), state: snapshot.state, request });
    }
    check(shared, &snapshot, tag)?;
    let epoch = shared.env.epoch();
    let restored = store.restore(epoch, pid, tag, shared.env.clock.now()).await;
    let record = restored.inspect_err(|error| shared.doubt(error))?;
    let name = record.envelope.process.clone();
    Ok((shared.bring_family(record, epoch).await?, name))
}

async fn no_snapshot(store: &dyn Store, pid: &ProcessId, tag: &str) -> Result<RunError, RunError> {
    if store.load(pid).await?.is_none() {
        return Ok(RunError::NotFound(pid.clone()));
    }
    let known = store.snapshots_of(pid).await?;
    let near = suggest(tag, known.iter().map(|snapshot| snapshot.tag.as_str())).map(str::to_owned);
    Ok(RunError::NoSnapshot { pid: pid.clone(), tag: tag.to_owned(), near })
}

/// A snapshot that could not go on is refused before anything is changed.
fn check(shared: &Shared, snapshot: &Record, tag: &str) -> Result<(), RunError> {
    let process = shared.env.registry.named(&snapshot.envelope.process)?;
    let try_out = || {
        let mut restored = process.restore(&shared.env, snapshot)?;
        if let Some(text) = &snapshot.listeners {
            shared.env.listeners.read(text)?;
        }
        if let Some(hooks) = restored.live.hooks() {
            hooks.init();
        }
        Ok(())
    };
    let tried = super::CURRENT.sync_scope(snapshot.pid.clone(), || caught(try_out));
    let unreadable = |reason| RunError::UnreadableSnapshot { pid: snapshot.pid.clone(), tag: tag.to_owned(), reason };
    tried.unwrap_or_else(|panic| Err(panic.to_string())).map_err(unreadable)
}
