//! What the parts of a running runtime share: the table of processes, slots, timers, replies.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, RwLock, Semaphore};
use tracing::Instrument;
use uuid::Uuid;

use super::RunError;
use super::caught::caught_async;
use super::drive::Driver;
use super::elsewhere::Elsewhere;
use super::entry::{Entry, Inner, Mail, Reply, Resident};
use super::keys::Keys;
use super::listeners::Listeners;
use super::mending::Mender;
use super::remote::Remote;
use super::sharing::Sharing;
use super::timers::Timers;
use crate::limits;
use crate::listener::{Listener, ListenerId};
use crate::process::{Env, ProcessId, ProcessState, Request, Slot, Termination, Transition};
use crate::store::{Message, RequestId, Store};

pub(crate) struct Shared {
    pub(crate) env: Arc<Env>,
    /// Where drivers run, whoever wakes a process: a communicator does so from a thread of its own.
    pub(crate) tokio: tokio::runtime::Handle,
    /// How processes are reached from elsewhere, if there is a communicator.
    pub(crate) remote: Option<Arc<Remote>>,
    pub(crate) listeners: Listeners,
    pub(crate) slots: Semaphore,
    pub(crate) timers: Timers,
    pub(crate) resident_most: usize,
    /// Steps that run at the same time.
    most: usize,
    /// If others work on the store, too.
    pub(crate) sharing: Option<Sharing>,
    /// What was mended, and replies that others have left behind.
    pub(crate) mender: Mender,
    /// The store was left, or is about to be.
    left: AtomicBool,
    /// The last handle of the runtime is gone: nobody will shut it down.
    abandoned: AtomicBool,
    resting: AtomicUsize,
    table: Mutex<HashMap<ProcessId, Arc<Entry>>>,
    /// Slots of children whose handles were restored, beside the slot of the child's own entry.
    watchers: Mutex<HashMap<ProcessId, Vec<Arc<Slot>>>>,
    pub(crate) keys: Keys,
    /// While the store is read at start: the processes that will run when all of them are known.
    held: Mutex<Option<Vec<Arc<Entry>>>>,
    /// The last request that was handed on.
    delivered: Mutex<Option<RequestId>>,
    /// Read by who creates a process, written by who brings one from the store: so no stale record is brought.
    pub(crate) adoption: RwLock<()>,
    /// Read by who files a request, written by who delivers: so a reply is known before it is due.
    pub(crate) filing: RwLock<()>,
    pub(crate) filed: Notify,
    replies: Mutex<HashMap<RequestId, Reply>>,
    pub(crate) elsewhere: Elsewhere,
    closing: AtomicBool,
    aborting: AtomicBool,
    closed: Notify,
    driven: AtomicUsize,
    idle: Notify,
}

/// How busy a runtime is.
pub(crate) struct Load {
    pub(crate) slots: usize,
    pub(crate) used: usize,
    pub(crate) processes: usize,
    pub(crate) driven: usize,
    /// In memory, at rest.
    pub(crate) resting: usize,
}

/// Why a request was not handed on.
pub(crate) enum Undelivered {
    /// The process has ended, or cannot go on here.
    Gone,
    /// More requests wait at it than it takes.
    Busy,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        env: Arc<Env>,
        remote: Option<Arc<Remote>>,
        listeners: Listeners,
        most: usize,
        resident_most: usize,
        sharing: Option<Sharing>,
    ) -> Arc<Self> {
        Arc::new(Self {
            env,
            tokio: tokio::runtime::Handle::current(),
            remote,
            listeners,
            slots: Semaphore::new(most),
            timers: Timers::default(),
            resident_most,
            most,
            sharing,
            mender: Mender::default(),
            left: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            resting: AtomicUsize::new(0),
            table: Mutex::default(),
            watchers: Mutex::default(),
            keys: Keys::default(),
            held: Mutex::default(),
            delivered: Mutex::default(),
            adoption: RwLock::new(()),
            filing: RwLock::new(()),
            filed: Notify::new(),
            replies: Mutex::default(),
            elsewhere: Elsewhere::default(),
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

    /// What is stored with a transition, to be told to those elsewhere whatever happens: where there is a store, and a
    /// communicator.
    pub(crate) fn message(&self, transition: Transition<'_>) -> Option<Message> {
        self.store()?;
        self.remote.as_ref()?.message(transition)
    }

    // ---- the table

    pub(crate) fn entry(&self, pid: &ProcessId) -> Option<Arc<Entry>> {
        lock(&self.table).get(pid).cloned()
    }

    /// Whether this runtime has the process.
    pub(crate) fn is_here(&self, pid: &ProcessId) -> bool {
        lock(&self.table).contains_key(pid)
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.table).values().cloned().collect()
    }

    /// Adds a process, unless it is there, and lets it run. Gives the slot in which its end will appear.
    pub(crate) fn adopt(self: &Arc<Self>, entry: &Arc<Entry>) -> Arc<Slot> {
        self.adopt_told(entry, None)
    }

    /// The same of a process that was just created, which is told to those elsewhere; with the messages that are stored of its
    /// creation, and of its beginning if it began with it.
    pub(crate) fn adopt_new(self: &Arc<Self>, entry: &Arc<Entry>, messages: [Option<Uuid>; 2]) -> Arc<Slot> {
        self.adopt_told(entry, Some(messages))
    }

    fn adopt_told(self: &Arc<Self>, entry: &Arc<Entry>, new: Option<[Option<Uuid>; 2]>) -> Arc<Slot> {
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
        let epoch = entry.lock().resident.as_ref().map(|resident| resident.live.core().epoch);
        if let Some(sharing) = &self.sharing
            && (!sharing.lease.is_granted() || epoch != Some(self.env.epoch()))
        {
            // The worker gave up what it has since the process was created, and may have missed this one.
            self.resting.fetch_add(1, Ordering::Relaxed);
            self.evict(entry);
            return Arc::clone(&entry.slot);
        }
        if let Some(sharing) = &self.sharing {
            // Its trouble is over, as where it went back to a snapshot.
            sharing.poison.forget(entry.pid());
        }
        if let Some(remote) = &self.remote {
            let creation = Transition { pid: entry.pid(), from: None, to: ProcessState::Created };
            remote.join(entry.pid(), new.map(|[created, _]| (creation, created)));
            let to = entry.lock().view.state;
            if let Some([_, begun]) = new
                && to != ProcessState::Created
            {
                remote.tell(Transition { from: Some(ProcessState::Created), to, ..creation }, begun);
            }
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
        let waits = resident.waits() && inner.mail.is_empty();
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
        inner.resident = self.rests(&mut resident).then_some(resident);
    }

    /// Fills in how a process ended, for all who wait for it, and forgets it.
    pub(crate) fn end(self: &Arc<Self>, entry: &Entry, end: Result<Termination, RunError>) {
        self.forget(entry, end.as_ref().ok().map(|end| end.ended.state()));
        self.fill_watchers(entry.pid(), &end);
        entry.slot.fill(end);
        if let Some(sharing) = &self.sharing {
            sharing.has_gone(entry.pid());
        }
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
    pub(super) fn wake_if_ready(self: &Arc<Self>, entry: &Arc<Entry>) {
        let waits = entry.lock().resident.as_mut().is_some_and(|resident| !resident.is_ready());
        if !waits {
            self.wake_entry(entry);
        }
    }

    fn wake_entry(self: &Arc<Self>, entry: &Arc<Entry>) {
        let resident = {
            let mut inner = entry.lock();
            if inner.gone {
                return;
            }
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
        self.tokio.spawn(Box::pin(super::CURRENT.scope(pid, drive.instrument(span))));
    }

    /// Counts a process to rest; whether it may stay in memory.
    fn rests(&self, resident: &mut Resident) -> bool {
        let resting = self.resting.fetch_add(1, Ordering::Relaxed);
        let full = self.env.store.is_some() && resting >= self.resident_most;
        let stays = !full || resident.is_pinned() || resident.hooks_changed_it();
        resident.live.forget_saved();
        if stays {
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
            store.discard_requests(self.env.epoch(), vec![id]).await?;
        }
        Ok(())
    }

    /// Who asked is to be answered when the request, which is a row, was dealt with. Where workers share the store, the row may be
    /// gone before it is seen here.
    pub(crate) fn expect_reply(&self, id: RequestId, pid: &ProcessId, request: Request, reply: Reply) {
        if self.sharing.is_some() {
            self.elsewhere.wait(id, pid.clone(), request, reply);
        } else {
            lock(&self.replies).insert(id, reply);
        }
    }

    pub(crate) fn take_reply(&self, id: RequestId) -> Option<Reply> {
        lock(&self.replies).remove(&id).or_else(|| self.elsewhere.take(id))
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

    // ---- listeners

    /// Adds a listener, of one process or of all. Steps that run unwatched go on watched from their next one.
    pub(crate) fn listen(&self, only: Option<&ProcessId>, listener: Arc<dyn Listener>) -> ListenerId {
        let id = self.listeners.add(only.cloned(), listener);
        let watched = only.map_or_else(|| self.entries(), |pid| self.entry(pid).into_iter().collect());
        for entry in watched {
            entry.signal.store(true, Ordering::Relaxed);
        }
        id
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
        self.env.hub.close();
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

    /// How many slots are used.
    pub(crate) fn slots_used(&self) -> usize {
        self.most.saturating_sub(self.slots.available_permits())
    }

    /// What it has, and what it is at.
    pub(crate) fn load(&self) -> Load {
        Load {
            slots: self.most,
            used: self.slots_used(),
            processes: lock(&self.table).len(),
            driven: self.driven.load(Ordering::Acquire),
            resting: self.resting.load(Ordering::Relaxed),
        }
    }

    /// For how many processes more there is room.
    pub(crate) fn room(&self) -> usize {
        let driven = self.driven.load(Ordering::Acquire);
        let here = lock(&self.table).len();
        let most = self.most.saturating_add(self.resident_most);
        self.most.saturating_sub(driven).min(most.saturating_sub(here))
    }

    /// Closes, as nobody will shut it down.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.close();
    }

    /// Whether nothing is driven, nor ever will be, and nobody is there to say so to the store.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire) && self.driven.load(Ordering::Acquire) == 0
    }

    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Lets go of a process: at once where it rests, else as soon as its driver sees it, which cuts off the step that runs. What that
    /// leads to could not be written. Whether it is gone.
    pub(crate) fn evict(&self, entry: &Entry) -> bool {
        let resident = {
            let mut inner = entry.lock();
            inner.evicted = true;
            if inner.driven {
                drop(inner);
                entry.signal.store(true, Ordering::Relaxed);
                entry.bell.notify_one();
                return false;
            }
            // Nobody wakes it any more.
            inner.gone = true;
            inner.resident.take()
        };
        if resident.is_some() {
            self.resting.fetch_sub(1, Ordering::Relaxed);
        }
        // Its fields are the user's.
        drop(resident);
        self.pass_on(entry);
        true
    }

    /// A process is not here any more, though it has not ended.
    pub(crate) fn take_out(&self, entry: &Entry) {
        self.forget(entry, None);
    }

    /// Forgets what it knows of a process, unless it has come back since under an entry of its own.
    fn forget(&self, entry: &Entry, state: Option<ProcessState>) {
        entry.lock().gone = true;
        if !self.entry(entry.pid()).is_some_and(|known| std::ptr::eq(&raw const *known, entry)) {
            return;
        }
        if let Some(remote) = &self.remote {
            remote.leave(entry, state);
        }
        self.env.hub.forget(entry.pid(), state.is_some());
        lock(&self.table).remove(entry.pid());
        self.listeners.forget(entry.pid());
    }

    /// The processes for whose ends something waits beside their own entries.
    pub(super) fn watched(&self) -> Vec<ProcessId> {
        lock(&self.watchers).keys().cloned().collect()
    }

    /// Tells all who wait that nothing more will come.
    pub(crate) fn forget_all(&self) {
        let entries: Vec<_> = lock(&self.table).drain().map(|(_, entry)| entry).collect();
        entries.iter().map(Arc::as_ref).for_each(Entry::close);
        self.forget_replies();
    }

    /// Who waits for a reply finds its sender gone, which says that the runtime is closed.
    pub(crate) fn forget_replies(&self) {
        lock(&self.replies).clear();
        self.elsewhere.forget();
    }
}

/// Counts a driver while it lives.
struct Driven(Arc<Shared>);

impl Drop for Driven {
    fn drop(&mut self) {
        if self.0.driven.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
        if let Some(sharing) = &self.0.sharing {
            sharing.stir();
            sharing.rests();
        }
    }
}
