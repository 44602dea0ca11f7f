//! What the parts of a running runtime share: the table of processes, slots, timers, replies.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, RwLock, Semaphore, oneshot};
use tracing::Instrument;

use super::RunError;
use super::caught::{caught, caught_async};
use super::drive::Driver;
use super::entry::{Entry, Inner, Mail, Resident, Waiting};
use super::listeners::Listeners;
use super::timers::Timers;
use crate::limits;
use crate::process::{BoxFuture, Ended, Env, Machine, ProcessId, ProcessState, Request, Slot, Termination};
use crate::store::{Awaiting, Record, RequestId, Store, StoreErrorKind};

pub(crate) struct Shared {
    pub(crate) env: Arc<Env>,
    pub(crate) listeners: Listeners,
    pub(crate) slots: Semaphore,
    pub(crate) timers: Timers,
    pub(crate) resident_most: usize,
    resting: AtomicUsize,
    table: Mutex<HashMap<ProcessId, Arc<Entry>>>,
    /// Slots of children whose handles were restored, beside the slot of the child's own entry.
    watchers: Mutex<HashMap<ProcessId, Vec<Arc<Slot>>>>,
    keys: Mutex<Keys>,
    /// While the store is read at start: the processes that will run when all of them are known.
    held: Mutex<Option<Vec<Arc<Entry>>>>,
    /// The last request that was handed on.
    delivered: Mutex<Option<RequestId>>,
    /// Read by who creates a process, written by who brings one from the store: so no stale record is brought.
    pub(crate) adoption: RwLock<()>,
    /// Read by who files a request, written by who delivers: so a reply is known before it is due.
    pub(crate) filing: RwLock<()>,
    pub(crate) filed: Notify,
    replies: Mutex<HashMap<RequestId, oneshot::Sender<Result<bool, RunError>>>>,
    closing: AtomicBool,
    aborting: AtomicBool,
    closed: Notify,
    driven: AtomicUsize,
    idle: Notify,
}

/// Why a request was not handed on.
pub(crate) enum Undelivered {
    /// The process has ended, or cannot go on here.
    Gone,
    /// More requests wait at it than it takes.
    Busy,
}

/// Keys of a runtime without a store.
#[derive(Default)]
struct Keys {
    by_key: HashMap<String, (Arc<Slot>, &'static str)>,
    order: VecDeque<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(env: Arc<Env>, listeners: Listeners, most: usize, resident_most: usize) -> Arc<Self> {
        Arc::new(Self {
            env,
            listeners,
            slots: Semaphore::new(most),
            timers: Timers::default(),
            resident_most,
            resting: AtomicUsize::new(0),
            table: Mutex::default(),
            watchers: Mutex::default(),
            keys: Mutex::default(),
            held: Mutex::default(),
            delivered: Mutex::default(),
            adoption: RwLock::new(()),
            filing: RwLock::new(()),
            filed: Notify::new(),
            replies: Mutex::default(),
            closing: AtomicBool::new(false),
            aborting: AtomicBool::new(false),
            closed: Notify::new(),
            driven: AtomicUsize::new(0),
            idle: Notify::new(),
        })
    }

    pub(crate) fn store(&self) -> Option<&Arc<dyn Store>> {
        self.env.store.as_ref()
    }

    // ---- the table

    pub(crate) fn entry(&self, pid: &ProcessId) -> Option<Arc<Entry>> {
        lock(&self.table).get(pid).cloned()
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.table).values().cloned().collect()
    }

    /// Adds a process, unless it is there, and lets it run. Gives the slot in which its end will appear.
    pub(crate) fn adopt(self: &Arc<Self>, entry: &Arc<Entry>) -> Arc<Slot> {
        let known = {
            let mut table = lock(&self.table);
            let known = table.get(entry.pid()).cloned();
            if known.is_none() {
                table.insert(entry.pid().clone(), Arc::clone(entry));
            }
            known
        };
        if let Some(known) = known {
            return Arc::clone(&known.slot);
        }
        if !self.adopt_at_rest(entry) {
            self.wake_entry(entry);
        }
        Arc::clone(&entry.slot)
    }

    /// Leaves a process that only waits where it is: most of the unfinished ones that a runtime finds. At start it
    /// leaves all, to be woken when every process of the store is known.
    fn adopt_at_rest(&self, entry: &Arc<Entry>) -> bool {
        let mut held = lock(&self.held);
        let mut inner = entry.lock();
        let Some(mut resident) = inner.resident.take() else { return false };
        let waits = resident.committed == ProcessState::Waiting && !resident.is_ready() && inner.mail.is_empty();
        // A close after this look finds it in the table; one before it is seen by who wakes it.
        let waits = waits && !self.is_closing();
        if waits || held.is_some() {
            self.lay_down(entry, &mut inner, resident);
        } else {
            self.resting.fetch_add(1, Ordering::Relaxed);
            inner.resident = Some(resident);
        }
        if !waits && let Some(held) = held.as_mut() {
            held.push(Arc::clone(entry));
            return true;
        }
        waits
    }

    /// Lets no process run until [`Self::let_run`]: one that ran while the store is still read would create children
    /// that are read again.
    pub(crate) fn hold(&self) {
        *lock(&self.held) = Some(Vec::new());
    }

    pub(crate) fn let_run(self: &Arc<Self>) {
        let held = lock(&self.held).take();
        held.iter().flatten().for_each(|entry| self.wake_entry(entry));
    }

    /// Keeps a process until something wakes it.
    pub(crate) fn lay_down(&self, entry: &Entry, inner: &mut Inner, mut resident: Box<Resident>) {
        let waiting = resident.waiting.as_ref().filter(|_| !resident.machine.is_paused());
        if let Some(wake_at) = waiting.and_then(|waiting| waiting.wake_at) {
            self.timers.add(wake_at, entry.pid().clone());
        }
        resident.live.forget_saved();
        inner.resident = self.rests(resident.is_pinned()).then_some(resident);
    }

    /// Fills in how a process ended, for all who wait for it, and forgets it.
    pub(crate) fn end(self: &Arc<Self>, entry: &Entry, end: Result<Termination, RunError>) {
        lock(&self.table).remove(entry.pid());
        entry.lock().gone = true;
        self.fill_watchers(entry.pid(), &end);
        entry.slot.fill(end);
        self.listeners.forget(entry.pid());
        if let Some(parent) = entry.parent.as_ref().and_then(|parent| self.entry(parent)) {
            self.wake_if_ready(&parent);
        }
    }

    pub(crate) fn watch(&self, slot: &Arc<Slot>) {
        let mut watchers = lock(&self.watchers);
        let slots = watchers.entry(slot.pid.clone()).or_default();
        // Those that nobody else holds belong to an object that was dropped.
        slots.retain(|slot| Arc::strong_count(slot) > 1);
        slots.push(Arc::clone(slot));
    }

    pub(crate) fn fill_watchers(&self, pid: &ProcessId, end: &Result<Termination, RunError>) {
        for slot in lock(&self.watchers).remove(pid).into_iter().flatten() {
            slot.fill(end.clone());
        }
    }

    // ---- waking

    pub(crate) fn wake(self: &Arc<Self>, pid: &ProcessId) {
        if let Some(entry) = self.entry(pid) {
            self.wake_entry(&entry);
        }
    }

    /// Wakes a parent at rest only if nothing is left to wait for: many children end one by one.
    fn wake_if_ready(self: &Arc<Self>, entry: &Arc<Entry>) {
        let waits = entry.lock().resident.as_mut().is_some_and(|resident| !resident.is_ready());
        if !waits {
            self.wake_entry(entry);
        }
    }

    fn wake_entry(self: &Arc<Self>, entry: &Arc<Entry>) {
        let resident = {
            let mut inner = entry.lock();
            if self.closing.load(Ordering::Acquire) && !inner.driven {
                drop(inner);
                return entry.close();
            }
            if inner.driven {
                inner.woken = true;
                entry.bell.notify_one();
                return;
            }
            inner.driven = true;
            // Counted under the lock, so that a shutdown that sees it resting will not miss it.
            self.driven.fetch_add(1, Ordering::AcqRel);
            inner.resident.take()
        };
        if resident.is_some() {
            self.resting.fetch_sub(1, Ordering::Relaxed);
        }
        let span = tracing::info_span!("process", pid = %entry.pid(), name = entry.process.name());
        let driver = Driven(Arc::clone(self));
        let pid = entry.pid().clone();
        let drive = Driver::drive(Arc::clone(self), Arc::clone(entry), resident);
        let (shared, entry) = (Arc::clone(self), Arc::clone(entry));
        let drive = async move {
            // Calls of user code are caught one by one; this is for what was overlooked.
            if let Err(panic) = caught_async(drive).await {
                let error = RunError::Panicked { pid: entry.pid().clone(), error: Box::new(panic) };
                Driver::lose(&shared, &entry, &error);
            }
            drop(driver);
        };
        // Boxed on its own: tokio aligns its tasks to cache lines, and freed memory of such a size is hard to use again.
        tokio::spawn(Box::pin(super::CURRENT.scope(pid, drive.instrument(span))));
    }

    /// Counts a process to rest; whether it may stay in memory.
    fn rests(&self, pinned: bool) -> bool {
        let resting = self.resting.fetch_add(1, Ordering::Relaxed);
        if pinned || self.env.store.is_none() || resting < self.resident_most {
            return true;
        }
        self.resting.fetch_sub(1, Ordering::Relaxed);
        false
    }

    // ---- requests

    /// Hands a request to a process; gives it back if the process has ended meanwhile, or has too many.
    pub(crate) fn post(self: &Arc<Self>, entry: &Arc<Entry>, mail: Mail) -> Result<(), (Mail, Undelivered)> {
        {
            let mut inner = entry.lock();
            if inner.gone {
                return Err((mail, Undelivered::Gone));
            }
            if inner.mail.len() >= limits::MAIL {
                return Err((mail, Undelivered::Busy));
            }
            inner.mail.push_back(mail);
            entry.signal.store(true, Ordering::Relaxed);
        }
        self.wake_entry(entry);
        Ok(())
    }

    pub(crate) fn delivered(&self) -> Option<RequestId> {
        *lock(&self.delivered)
    }

    pub(crate) fn set_delivered(&self, id: RequestId) {
        *lock(&self.delivered) = Some(id);
    }

    /// Removes a request's row, which no commit will apply.
    pub(crate) async fn discard(&self, id: RequestId) -> Result<(), RunError> {
        if let Some(store) = self.store() {
            store.discard_requests(self.env.epoch, vec![id]).await?;
        }
        Ok(())
    }

    pub(crate) fn expect_reply(&self, id: RequestId, reply: oneshot::Sender<Result<bool, RunError>>) {
        lock(&self.replies).insert(id, reply);
    }

    pub(crate) fn take_reply(&self, id: RequestId) -> Option<oneshot::Sender<Result<bool, RunError>>> {
        lock(&self.replies).remove(&id)
    }

    /// Asks the same of a child; it is a row before this returns.
    pub(crate) async fn request_of_child(self: &Arc<Self>, pid: &ProcessId, request: Request) -> Result<(), RunError> {
        if let Some(store) = self.store() {
            store.request(pid, request).await?;
            self.filed.notify_one();
        } else if let Some(entry) = self.entry(pid) {
            // A child that has ended needs no kill.
            let _ = self.post(&entry, Mail { id: None, request, reply: None });
        }
        Ok(())
    }

    // ---- keys of a runtime without a store

    pub(crate) fn keyed(&self, key: &str) -> Option<(Arc<Slot>, &'static str)> {
        lock(&self.keys).by_key.get(key).cloned()
    }

    /// Gives the key to a process, unless another has it.
    pub(crate) fn take_key(
        &self,
        key: String,
        slot: &Arc<Slot>,
        process: &'static str,
    ) -> Option<(Arc<Slot>, &'static str)> {
        let mut keys = lock(&self.keys);
        if let Some(known) = keys.by_key.get(&key) {
            return Some(known.clone());
        }
        if keys.order.len() >= limits::VOLATILE_KEYS {
            let ended =
                keys.order.iter().position(|key| keys.by_key.get(key).is_none_or(|(slot, _)| slot.get().is_some()));
            if let Some(oldest) = ended.and_then(|at| keys.order.remove(at)) {
                keys.by_key.remove(&oldest);
            }
        }
        keys.order.push_back(key.clone());
        keys.by_key.insert(key, (Arc::clone(slot), process));
        None
    }

    // ---- from the store

    /// A process as of its last boundary; one that cannot be read is parked with the reason.
    pub(crate) async fn restore(&self, record: &Record) -> Result<Box<Resident>, RunError> {
        let process = self.env.registry.named(&record.envelope.process)?;
        let restore = || caught(|| process.restore(&self.env, record)).unwrap_or_else(|panic| Err(panic.to_string()));
        let restored = super::CURRENT.sync_scope(record.pid.clone(), restore);
        let restored = match restored {
            Ok(restored) => restored,
            Err(reason) => return Err(self.park(&record.pid, reason).await?),
        };
        let mut resident = Resident::new(restored.live);
        resident.machine = Machine::new(record.state, record.paused);
        resident.machine.set_wants_resume(record.awaiting.resume.is_some());
        resident.committed = record.state;
        if record.status.before_pause.is_some() {
            resident.extra_mut().before_pause.clone_from(&record.status.before_pause);
        }
        if let Some(text) = &record.listeners {
            match caught(|| self.env.listeners.read(text)).unwrap_or_else(|panic| Err(panic.to_string())) {
                Ok(listeners) => resident.extra_mut().listeners = listeners,
                Err(reason) => return Err(self.park(&record.pid, reason).await?),
            }
        }
        for slot in &restored.children {
            self.find_end(slot).await?;
        }
        if record.state == ProcessState::Waiting {
            resident.waiting = Some(Box::new(self.waiting(record, &restored.children).await?));
        }
        Ok(resident)
    }

    /// Puts a process aside; gives the error that says so.
    pub(crate) async fn park(&self, pid: &ProcessId, reason: String) -> Result<RunError, RunError> {
        if let Some(store) = self.store() {
            store.park(self.env.epoch, pid, reason.clone()).await?;
        }
        tracing::error!(%pid, reason, "process parked");
        Ok(RunError::Parked { pid: pid.clone(), reason })
    }

    async fn waiting(&self, record: &Record, known: &[Arc<Slot>]) -> Result<Waiting, RunError> {
        let Awaiting { wake_at, resume, children } = &record.awaiting;
        let mut waiting = Waiting { wake_at: *wake_at, resume: resume.is_some(), ..Waiting::default() };
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
            Ok(None) => {}
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
        Ok((self.bring_family(record).await?, name))
    }

    /// Lets a stored process go on, with what was asked of it before and the children that it waits for.
    fn bring_family(self: &Arc<Self>, record: Record) -> BoxFuture<'_, Result<Arc<Slot>, RunError>> {
        Box::pin(async move {
            let pid = record.pid.clone();
            let children: Vec<_> = record.awaiting.children.iter().map(|child| child.pid.clone()).collect();
            let slot = self.bring(record).await?;
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
        let Some(store) = self.store() else { return Ok(()) };
        let record = store.load(pid).await?.ok_or_else(|| RunError::NotFound(pid.clone()))?;
        if let Some(reason) = record.parked {
            return Err(RunError::Parked { pid: pid.clone(), reason });
        }
        if !record.state.is_terminal() {
            self.bring_family(record).await?;
        }
        Ok(())
    }

    /// Hands on the requests that came to a process while it was not here.
    async fn deliver_earlier(self: &Arc<Self>, pid: &ProcessId) -> Result<(), RunError> {
        let (Some(store), Some(entry)) = (self.store(), self.entry(pid)) else { return Ok(()) };
        let delivered = *lock(&self.delivered);
        for row in store.requests(None).await?.into_iter().filter(|row| row.pid == *pid && Some(row.id) <= delivered) {
            if let Ok(request) = row.request {
                let _ = self.post(&entry, Mail { id: Some(row.id), request, reply: None });
            }
        }
        Ok(())
    }

    /// Lets a stored process go on.
    pub(crate) async fn bring(self: &Arc<Self>, record: Record) -> Result<Arc<Slot>, RunError> {
        let process = self.env.registry.named(&record.envelope.process)?;
        let resident = self.restore(&record).await?;
        Ok(self.adopt(&Entry::new(Slot::new(record.pid), process, record.parent, resident)))
    }

    // ---- the end

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn is_aborting(&self) -> bool {
        self.aborting.load(Ordering::Acquire)
    }

    /// Resolves when the runtime closes.
    pub(crate) async fn closed(&self) {
        loop {
            let closed = self.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.is_closing() {
                return;
            }
            closed.await;
        }
    }

    /// No step begins any more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.closed.notify_waiters();
        self.slots.close();
        for entry in self.entries() {
            entry.signal.store(true, Ordering::Relaxed);
            entry.bell.notify_one();
            if !entry.lock().driven {
                entry.close();
            }
        }
    }

    /// Waits until no process is driven.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.driven.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Cuts off the steps that still run.
    pub(crate) fn abort(&self) {
        self.aborting.store(true, Ordering::Release);
        for entry in self.entries() {
            entry.bell.notify_one();
        }
    }

    /// Tells all who wait that nothing more will come.
    pub(crate) fn forget_all(&self) {
        let entries: Vec<_> = lock(&self.table).drain().map(|(_, entry)| entry).collect();
        for entry in entries {
            entry.close();
        }
        self.forget_replies();
    }

    /// Who waits for a reply finds its sender gone, which says that the runtime is closed.
    pub(crate) fn forget_replies(&self) {
        lock(&self.replies).clear();
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

/// Counts a driver while it lives.
struct Driven(Arc<Shared>);

impl Drop for Driven {
    fn drop(&mut self) {
        if self.0.driven.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
