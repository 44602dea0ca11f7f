//! Brings processes from the store.

use std::sync::Arc;

use super::RunError;
use super::caught::caught;
use super::entry::{Entry, Mail, Resident, Waiting};
use super::shared::Shared;
use crate::process::{BoxFuture, Ended, Machine, ProcessId, ProcessState, Slot, Termination};
use crate::store::{Awaiting, Epoch, Record, StoreErrorKind};

impl Shared {
    /// A process as of its last boundary; one that cannot be read is parked with the reason, or left to
    /// other workers.
    pub(crate) async fn restore(&self, record: &Record) -> Result<Box<Resident>, RunError> {
        let process = self.env.registry.named(&record.envelope.process)?;
        let restored = caught(|| process.restore(&self.env, record)).unwrap_or_else(|panic| Err(panic.to_string()));
        let restored = match restored {
            Ok(restored) => restored,
            Err(reason) => return Err(self.unloadable(&record.pid, reason).await?),
        };
        let mut resident = Resident::new(restored.live);
        resident.machine = Machine::new(record.state, record.paused);
        resident.machine.set_wants_resume(record.awaiting.resume.is_some());
        resident.committed = record.state;
        resident.outdated = record.envelope != *process.envelope();
        if record.status.before_pause.is_some() {
            resident.extra_mut().before_pause.clone_from(&record.status.before_pause);
        }
        if let Some(text) = &record.listeners {
            match caught(|| self.env.listeners.read(text)).unwrap_or_else(|panic| Err(panic.to_string())) {
                Ok(listeners) => resident.extra_mut().listeners = listeners,
                Err(reason) => return Err(self.unloadable(&record.pid, reason).await?),
            }
        }
        for slot in &restored.children {
            self.find_end(slot).await?;
        }
        if record.state == ProcessState::Waiting {
            resident.waiting = Some(Box::new(self.waiting(record, &restored.children).await?));
        }
        if let Some(hooks) = resident.live.hooks() {
            let init = super::CURRENT.sync_scope(record.pid.clone(), || caught(|| hooks.init()));
            if let Err(panic) = init {
                return Err(self.unloadable(&record.pid, format!("`on_init` panicked: {panic}")).await?);
            }
        }
        Ok(resident)
    }

    /// Puts a process aside; gives the error that says so.
    pub(crate) async fn park(&self, pid: &ProcessId, reason: String) -> Result<RunError, RunError> {
        if let Some(store) = self.store() {
            store.park(self.env.epoch(), pid, reason.clone()).await?;
        }
        tracing::error!(%pid, reason, "process parked");
        Ok(RunError::Parked { pid: pid.clone(), reason })
    }

    async fn waiting(&self, record: &Record, known: &[Arc<Slot>]) -> Result<Waiting, RunError> {
        let Awaiting { wake_at, resume, children, streams } = &record.awaiting;
        let (wake_at, resume, streams) = (*wake_at, resume.is_some(), !streams.is_empty());
        let mut waiting = Waiting { wake_at, resume, streams, ..Waiting::default() };
        for child in children {
            let slot = if let Some(slot) = known.iter().find(|slot| slot.pid == child.pid) {
                Arc::clone(slot)
            } else {
                let slot = Slot::new(child.pid.clone());
                self.find_end(&slot).await?;
                slot
            };
            waiting.children.push((slot, child.allow_failure));
        }
        Ok(waiting)
    }

    /// Fills a slot from the store, or when the process ends here.
    pub(crate) async fn find_end(&self, slot: &Arc<Slot>) -> Result<(), RunError> {
        // Watched first: a process that ends between the two is then seen by one of them.
        self.watch(slot);
        let Some(store) = self.store() else { return Ok(()) };
        match store.termination(&slot.pid).await {
            Ok(None) => self.watched_in_vain(&slot.pid),
            Ok(Some(termination)) => self.fill_watchers(&slot.pid, &Ok(termination)),
            // One end that cannot be read is the trouble of those who wait for it, not of all.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => self.fill_watchers(&slot.pid, &Err(error.into())),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Brings a process from the store, or finds it here. Gives the slot of its end.
    pub(crate) async fn attach(self: &Arc<Self>, pid: &ProcessId) -> Result<(Arc<Slot>, String), RunError> {
        if let Some(entry) = self.entry(pid) {
            return Ok((Arc::clone(&entry.slot), entry.process.name().to_owned()));
        }
        let Some(store) = self.store() else { return Err(RunError::NotFound(pid.clone())) };
        let _adopting = self.adoption.write().await;
        if let Some(entry) = self.entry(pid) {
            return Ok((Arc::clone(&entry.slot), entry.process.name().to_owned()));
        }
        let record = store.load(pid).await?.ok_or_else(|| RunError::NotFound(pid.clone()))?;
        let name = record.envelope.process.clone();
        if let Some(reason) = record.parked {
            return Err(RunError::Parked { pid: pid.clone(), reason });
        }
        if record.state.is_terminal() {
            let slot = Slot::new(pid.clone());
            slot.fill(termination_of(&record));
            return Ok((slot, name));
        }
        if self.sharing.is_some() {
            // It is some worker's, or will be.
            let slot = Slot::new(pid.clone());
            self.find_end(&slot).await?;
            return Ok((slot, name));
        }
        Ok((self.bring_family(record, self.env.epoch()).await?, name))
    }

    /// Lets a stored process go on that this runtime has in this epoch, with what was asked of it before and the children that it
    /// waits for.
    pub(crate) fn bring_family(
        self: &Arc<Self>,
        record: Record,
        epoch: Epoch,
    ) -> BoxFuture<'_, Result<Arc<Slot>, RunError>> {
        Box::pin(async move {
            let pid = record.pid.clone();
            let children: Vec<_> = record.awaiting.children.iter().map(|child| child.pid.clone()).collect();
            let slot = self.bring(record, epoch).await?;
            self.deliver_earlier(&pid).await?;
            for child in children.iter().filter(|child| self.entry(child).is_none()) {
                if let Err(error) = self.bring_child(child).await {
                    self.fill_watchers(child, &Err(error));
                    self.wake(&pid);
                }
            }
            Ok(slot)
        })
    }

    async fn bring_child(self: &Arc<Self>, pid: &ProcessId) -> Result<(), RunError> {
        let Some(store) = self.store().filter(|_| self.sharing.is_none()) else { return Ok(()) };
        let record = store.load(pid).await?.ok_or_else(|| RunError::NotFound(pid.clone()))?;
        if let Some(reason) = record.parked {
            return Err(RunError::Parked { pid: pid.clone(), reason });
        }
        if !record.state.is_terminal() {
            self.bring_family(record, self.env.epoch()).await?;
        }
        Ok(())
    }

    /// Hands on the requests that came to a process while it was not here.
    async fn deliver_earlier(self: &Arc<Self>, pid: &ProcessId) -> Result<(), RunError> {
        let (Some(store), Some(entry)) = (self.store(), self.entry(pid)) else { return Ok(()) };
        let delivered = self.delivered();
        for row in store.requests(None).await?.into_iter().filter(|row| row.pid == *pid && Some(row.id) <= delivered) {
            match row.request {
                Ok(request) => drop(self.post(&entry, Mail { id: Some(row.id), request, reply: None })),
                // Whoever delivered it before may not have been the one to discard it.
                Err(_) => self.discard(row.id).await?,
            }
        }
        Ok(())
    }

    /// Lets a stored process go on.
    pub(crate) async fn bring(self: &Arc<Self>, record: Record, epoch: Epoch) -> Result<Arc<Slot>, RunError> {
        let process = self.env.registry.named(&record.envelope.process)?;
        let mut resident = self.restore(&record).await?;
        resident.live.core_mut().epoch = epoch;
        Ok(self.adopt(&Entry::new(Slot::new(record.pid), process, record.parent, record.created_at, resident)))
    }
}

pub(crate) fn termination_of(record: &Record) -> Result<Termination, RunError> {
    let read = || {
        let ended: Ended = serde_json::from_str(record.ended.as_deref()?).ok()?;
        Some(Termination::new(ended, serde_json::from_str(&record.outputs).ok()?))
    };
    let parked = || RunError::Parked { pid: record.pid.clone(), reason: "its end cannot be read".to_owned() };
    read().ok_or_else(parked)
}
