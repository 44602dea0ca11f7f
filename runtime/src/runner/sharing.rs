//! Works on a store together with other workers: claims processes, keeps its lease, and lets go of what it has lost.
//!
//! The lease is kept on a thread of its own, so that steps that block their threads do not cost it. A worker that has lost it joins
//! anew, under another epoch: what is left here of processes that it had writes under the old one, which the store refuses, and goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, SetOnce};

use super::RunError;
use super::aside::Aside;
use super::ends;
use super::entry::Entry;
use super::health::Tally;
use super::lease::Lease;
use super::mending::{self, Mending};
use super::poison::{Poison, give_up_due, pause_after};
use super::shared::Shared;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Epoch, Record, Renewed, Store, StoreErrorKind, StoreResult, Worker};

/// How a runtime works on a store that it shares with others.
///
/// A process runs in the worker that created it or claimed it. When that worker is lost, others claim what it had as soon as its
/// lease has lapsed, by the clock of the store.
#[derive(Debug, Clone)]
#[must_use = "options do nothing by themselves"]
pub struct WorkerOptions {
    queues: Vec<String>,
    lease: Duration,
    host: Option<String>,
    version: String,
    attempts: u32,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl WorkerOptions {
    /// The queue without a name, and a lease of [`limits::LEASE`].
    pub fn new() -> Self {
        Self {
            queues: vec![String::new()],
            lease: limits::LEASE,
            host: None,
            version: String::new(),
            attempts: limits::ATTEMPTS,
        }
    }

    /// Claims processes from these queues alone.
    pub fn queues<Q: Into<String>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// How long its processes stay its own after it was heard from last: as long others wait before they take over. It is heard from
    /// three times as often.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often a process may be claimed after its worker was lost, or fail to be loaded, without a boundary since, before it is
    /// parked: [`limits::ATTEMPTS`] by default.
    pub fn attempts(mut self, most: u32) -> Self {
        self.attempts = most;
        self
    }

    /// The name of the machine, where it is not that of the system.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The version of the program, to be seen in the list of workers.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    fn worker(&self, slots: usize) -> Worker {
        let this = crate::message::Host::this();
        Worker {
            host: self.host.clone().unwrap_or(this.hostname),
            os_process: std::process::id(),
            version: self.version.clone(),
            queues: self.queues.clone(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
        }
    }
}

/// What a runtime keeps of its being one worker among others.
pub(crate) struct Sharing {
    options: WorkerOptions,
    slots: usize,
    /// A slot is free, or something was lost.
    stir: Notify,
    /// Something came about in the store.
    pub(super) news: Notify,
    /// Processes that cannot go on here; others may try.
    lost: Mutex<Vec<Lost>>,
    /// Processes that others may have as soon as what is left of them here has gone.
    awaited: Mutex<HashMap<ProcessId, Awaited>>,
    /// A process is driven no more.
    rested: Notify,
    /// Someone has asked this worker to drain.
    pub(super) drain: SetOnce<()>,
    pub(super) lease: Arc<Lease>,
    pub(super) poison: Poison,
    pub(super) aside: Aside,
    pub(super) tally: Tally,
}

/// A process that others may have.
struct Lost {
    pid: ProcessId,
    /// The one under which it was had: under another it may be had again.
    epoch: Epoch,
    due: Instant,
}

/// The same of one of which something is left here.
struct Awaited {
    epoch: Epoch,
    pause: Duration,
}

impl Sharing {
    /// Whether it takes nothing that others have created.
    pub(super) fn is_idle(&self) -> bool {
        self.options.queues.is_empty()
    }

    pub(super) fn new(options: WorkerOptions, slots: usize) -> Self {
        let lease = Arc::new(Lease::new(options.lease));
        Self {
            options,
            slots,
            stir: Notify::new(),
            news: Notify::new(),
            lost: Mutex::default(),
            awaited: Mutex::default(),
            rested: Notify::new(),
            drain: SetOnce::new(),
            lease,
            poison: Poison::default(),
            aside: Aside::default(),
            tally: Tally::default(),
        }
    }

    /// How many attempts a process has.
    pub(super) fn attempts(&self) -> u32 {
        self.options.attempts
    }

    pub(super) fn rests(&self) {
        self.rested.notify_one();
    }

    pub(super) async fn rested(&self) {
        self.rested.notified().await;
    }

    pub(super) fn join<'a>(&self, store: &'a Arc<dyn Store>) -> impl Future<Output = StoreResult<Epoch>> + 'a {
        store.join(self.options.worker(self.slots), self.options.lease)
    }

    fn awaited(&self) -> MutexGuard<'_, HashMap<ProcessId, Awaited>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was left here of a process has gone.
    pub(super) fn has_gone(&self, pid: &ProcessId) {
        let awaited = self.awaited().remove(pid);
        if let Some(Awaited { epoch, pause }) = awaited {
            self.lose(epoch, pid, pause);
        }
    }

    /// There may be room for another process.
    pub(super) fn stir(&self) {
        self.stir.notify_one();
    }

    fn lost(&self) -> MutexGuard<'_, Vec<Lost>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process is given up here, after this pause, for a reason that need not be one elsewhere.
    pub(super) fn lose(&self, epoch: Epoch, pid: &ProcessId, pause: Duration) {
        self.lost().push(Lost { pid: pid.clone(), epoch, due: Instant::now() + pause });
        self.stir();
    }

    /// Those whose pause is over.
    fn take_lost(&self, epoch: Epoch) -> Vec<ProcessId> {
        let now = Instant::now();
        let mut lost = self.lost();
        // What it had under another, it has not any more.
        lost.retain(|lost| lost.epoch == epoch);
        lost.extract_if(.., |lost| lost.due <= now).map(|lost| lost.pid).collect()
    }

    /// How long it takes until something is to be given up.
    fn next(&self) -> Duration {
        let next = self.lost().iter().map(|lost| lost.due).min();
        let next = next.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        next.min(self.poison.next())
    }
}

impl Shared {
    /// Lets go of all processes: they are others' by now.
    pub(crate) fn let_go(&self) {
        for entry in self.entries() {
            self.evict(&entry);
        }
    }

    /// A process goes on in another worker: who waits for its end is told when the store has it.
    pub(crate) fn pass_on(&self, entry: &Entry) {
        self.take_out(entry);
        self.watch(&entry.slot);
        self.watched_in_vain(entry.pid());
        for mail in entry.take_mail() {
            self.pass_mail_on(entry.pid(), mail);
        }
        if let Some(sharing) = &self.sharing {
            sharing.has_gone(entry.pid());
        }
    }

    /// Lets nobody wait, once the runtime closes, for the end of a process that is elsewhere: nobody looks for it any more.
    pub(crate) fn watched_in_vain(&self, pid: &ProcessId) {
        if self.sharing.is_some() && self.is_closing() && self.entry(pid).is_none() {
            self.fill_watchers(pid, &Err(RunError::Closed));
        }
    }
}

/// Claims and keeps until the runtime has closed.
pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keeper = Arc::downgrade(shared);
    std::thread::Builder::new().name("procession-lease".to_owned()).spawn(move || runtime.block_on(keep(&keeper)))?;
    tokio::spawn(claim(Arc::clone(shared)));
    tokio::spawn(ends::run(Arc::clone(shared)));
    Ok(())
}

/// Keeps the lease; ends when the runtime is gone or has left the store.
async fn keep(shared: &Weak<Shared>) {
    let mut given_up = false;
    loop {
        let Some(lease) = shared.upgrade().and_then(|shared| Some(Arc::clone(&shared.sharing.as_ref()?.lease))) else {
            return;
        };
        let within = lease.lasts();
        tokio::select! {
            () = tokio::time::sleep(within / 3) => {}
            () = lease.doubted() => given_up = true,
        }
        let Some(shared) = shared.upgrade().filter(|shared| !shared.has_left()) else { return };
        let (Some(store), Some(sharing)) = (shared.store(), &shared.sharing) else { return };
        if shared.is_abandoned() {
            return leave(&shared, store, sharing).await;
        }
        let used = u32::try_from(shared.slots_used()).unwrap_or(u32::MAX);
        let asked = Instant::now();
        let renewed = async {
            if given_up {
                Ok(Ok(Renewed::default()))
            } else {
                tokio::time::timeout(within, store.renew(shared.env.epoch(), used)).await
            }
        };
        match renewed.await {
            Ok(Ok(Renewed { drain, .. })) if !given_up => {
                lease.granted(asked);
                if drain {
                    // Once is enough.
                    let _ = sharing.drain.set(());
                }
            }
            Ok(Ok(_)) => given_up = !rejoin(&shared, store, sharing, true).await,
            Ok(Err(error)) if error.kind() == StoreErrorKind::Stale => {
                given_up = !rejoin(&shared, store, sharing, false).await;
            }
            failed => {
                let error = failed.err().map(|late| late.to_string()).or_else(|| Some("the store failed".to_owned()));
                tracing::warn!(error, holds = lease.holds(), "the lease of this worker cannot be renewed");
            }
        }
    }
}

/// Others need not wait for a runtime that was dropped: some handle may keep what it shares for ever.
async fn leave(shared: &Arc<Shared>, store: &Arc<dyn Store>, sharing: &Sharing) {
    if let Some(remote) = &shared.remote {
        remote.gone().await;
    }
    shared.leave();
    let released = tokio::time::timeout(sharing.lease.lasts(), store.release(shared.env.epoch())).await;
    if !matches!(released, Ok(Ok(()))) {
        tracing::warn!("others go on with the processes of this worker when its lease has lapsed");
    }
}

/// Lets go of everything, and joins anew; whether it has.
async fn rejoin(shared: &Arc<Shared>, store: &Arc<dyn Store>, sharing: &Sharing, alive: bool) -> bool {
    if shared.is_closing() {
        return false;
    }
    let (epoch, lease) = (shared.env.epoch(), &sharing.lease);
    lease.end();
    sharing.tally.lease_lost();
    shared.let_go();
    sharing.awaited().clear();
    if alive {
        tracing::warn!("what became of a write is not known: this worker gives up what it has, and joins anew");
        // Others need not wait for the end of the lease, where the store can be told.
        let _ = tokio::time::timeout(lease.lasts(), store.release(epoch)).await;
    } else {
        tracing::error!("this worker was not heard from in time: its processes are others' to go on with");
    }
    let asked = Instant::now();
    match tokio::time::timeout(lease.lasts(), sharing.join(store)).await {
        Ok(Ok(epoch)) => {
            shared.env.set_epoch(epoch);
            lease.granted(asked);
            if shared.has_left() {
                // It left under the epoch before.
                let _ = tokio::time::timeout(lease.lasts(), store.release(epoch)).await;
            }
            sharing.stir();
            return true;
        }
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "this worker cannot join the others again yet");
        }
        Err(_) => tracing::warn!("this worker cannot join the others again yet: the store does not answer"),
    }
    false
}

/// Claims what there is room for, as soon as it is there.
async fn claim(shared: Arc<Shared>) {
    let (Some(store), Some(sharing)) = (shared.store(), &shared.sharing) else { return };
    loop {
        if shared.is_closing() {
            return;
        }
        let more = match claim_some(&shared, store, sharing).await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no processes can be claimed");
                false
            }
        };
        if more {
            continue;
        }
        let work = async {
            // A store that fails is asked again after the pause below.
            if store.work(shared.env.epoch()).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = shared.closed() => return,
            () = work => sharing.news.notify_one(),
            () = sharing.stir.notified() => {}
            () = tokio::time::sleep(sharing.next()) => {}
        }
    }
}

/// Claims once; whether there may be more to claim at once.
async fn claim_some(shared: &Arc<Shared>, store: &Arc<dyn Store>, sharing: &Sharing) -> Result<bool, RunError> {
    let epoch = shared.env.epoch();
    let lost = sharing.take_lost(epoch);
    if !lost.is_empty()
        && let Err(error) = store.hand_over(epoch, lost.clone()).await
    {
        shared.doubt(&error);
        // With the next attempt, which is not to follow at once.
        let due = Instant::now() + limits::LOAD_AGAIN;
        sharing.lost().extend(lost.into_iter().map(|pid| Lost { pid, epoch, due }));
        return Err(error.into());
    }
    sharing.tally.handed_over(lost.len());
    if give_up_due(shared, store, sharing).await || !lost.is_empty() {
        tokio::time::sleep(limits::OTHERS_FIRST).await;
    }
    let room = shared.room().min(limits::CLAIM);
    if room == 0 {
        return Ok(false);
    }
    if !sharing.lease.holds() {
        // A claim now would be refused, or its answer come too late.
        return Ok(false);
    }
    let claimed = store.claim(epoch, room, sharing.options.attempts).await;
    let claimed = claimed.inspect_err(|error| shared.doubt(error))?;
    // One that was parked may have stood in the place of another that is suspected.
    let full = claimed.records.len() >= room || !claimed.parked.is_empty();
    // Nobody else has had them without a boundary since.
    shared.mender.note(Mending { processes: claimed.attempts.len() as u64, ..Mending::default() });
    if !claimed.attempts.is_empty() {
        // What was to be told of them is told before what comes next.
        if let Err(error) = mending::take_over(shared).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "messages cannot be taken over yet");
        }
    }
    for (pid, reason) in &claimed.parked {
        tracing::error!(%pid, reason, "process parked");
        sharing.aside.parked(pid, reason);
    }
    sharing.tally.parked(claimed.parked.len());
    sharing.tally.claimed(claimed.records.len());
    if let Some(suspect) = &claimed.suspect {
        sharing.poison.watch(suspect);
    }
    let attempts: HashMap<_, _> = claimed.attempts.into_iter().collect();
    let attempts_of = |pid: &ProcessId| attempts.get(pid).copied().unwrap_or_default();
    for (pid, reason) in claimed.unreadable {
        let attempts = attempts_of(&pid);
        sharing.tally.failed();
        sharing.poison.add(epoch, pid, format!("its row cannot be read: {reason}"), attempts);
    }
    for record in claimed.records {
        let attempts = attempts_of(&record.pid);
        bring(shared, sharing, epoch, record, attempts).await;
    }
    Ok(full)
}

/// Lets a claimed process go on here.
async fn bring(shared: &Arc<Shared>, sharing: &Sharing, epoch: Epoch, record: Record, attempts: u32) {
    let is_given_up = || !sharing.lease.is_granted() || shared.env.epoch() != epoch;
    if is_given_up() {
        // With those before it: another has it, or will have it.
        return;
    }
    let pid = record.pid.clone();
    if let Some(left) = shared.entry(&pid)
        && !clear(shared, sharing, &left, Awaited { epoch, pause: Duration::ZERO })
    {
        // From before this worker had lost it; when it has gone, the process is on its way.
        return;
    }
    let _adopting = shared.adoption.write().await;
    match shared.bring_family(record, epoch).await {
        // Parked: it is over here.
        Ok(_) | Err(RunError::Parked { .. }) => {}
        Err(RunError::Unloadable { reason, .. }) => {
            sharing.tally.failed();
            sharing.poison.add(epoch, pid.clone(), reason, attempts);
        }
        Err(error @ RunError::UnknownProcess { .. }) => {
            sharing.tally.failed();
            sharing.poison.add(epoch, pid.clone(), format!("unknown process: {error}"), attempts);
        }
        Err(error) => {
            tracing::error!(%pid, error = &error as &dyn std::error::Error, "a claimed process cannot go on");
            let pause = pause_after(attempts);
            // It may be here already, and at its step: others have it when that has gone.
            let awaited = Awaited { epoch, pause };
            if shared.entry(&pid).is_none_or(|entry| clear(shared, sharing, &entry, awaited)) {
                sharing.lose(epoch, &pid, pause);
            }
        }
    }
    // Given up since it was claimed: whatever let go of the others may have missed it.
    if is_given_up()
        && let Some(entry) = shared.entry(&pid)
    {
        shared.evict(&entry);
    }
}

/// Lets go of what is here of a process; whether it has gone. If not, the process is lost as soon as it has.
fn clear(shared: &Arc<Shared>, sharing: &Sharing, entry: &Entry, awaited: Awaited) -> bool {
    let pid = entry.pid();
    sharing.awaited().insert(pid.clone(), awaited);
    if !shared.evict(entry) && shared.entry(pid).is_some() {
        return false;
    }
    // Unless it has gone meanwhile, and whoever saw that has lost the process.
    sharing.awaited().remove(pid).is_some()
}

#[cfg(test)]
mod tests {
    use super::{Sharing, WorkerOptions};
    use crate::process::ProcessId;
    use crate::store::Epoch;
    use std::time::Duration;

    /// By then it may be here again.
    #[test]
    fn what_was_lost_under_another_epoch_is_not_handed_over() {
        let sharing = Sharing::new(WorkerOptions::new(), 1);
        let [before, now, later] = ["before", "now", "later"].map(ProcessId::from);
        sharing.lose(Epoch(1), &before, Duration::ZERO);
        sharing.lose(Epoch(2), &now, Duration::ZERO);
        sharing.lose(Epoch(2), &later, Duration::from_secs(600));
        assert_eq!(sharing.take_lost(Epoch(2)), [now]);
        assert_eq!(sharing.lost().iter().map(|lost| &lost.pid).collect::<Vec<_>>(), [&later]);
    }
}
