//! Launching, and going on with what is unfinished.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use uuid::Uuid;

use super::caught::caught;
use super::commit::new_process;
use super::entry::{Entry, Resident};
use super::handle::{AnyHandle, Handle};
use super::hooks::{created, creating};
use super::instance::{Chosen, Live};
use super::shared::Shared;
use super::{ProcessType, RunError};
use crate::clock::Timestamp;
use crate::limits;
use crate::listener::{Attached, SavedListener, text_of};
use crate::process::{BoxFuture, ErrorInfo, Process, ProcessId, ProcessState, Slot, Transition};
use crate::spec::{InputMap, PreparedInputs};
use crate::store::{Creation, OwedReply, Placement, Record};

/// A launch that is being prepared: `.await` it.
#[must_use = "a launch does nothing until it is awaited"]
pub struct Launching<P> {
    by_name: LaunchingByName,
    process: PhantomData<fn() -> P>,
}

/// A launch by name that is being prepared: `.await` it.
#[must_use = "a launch does nothing until it is awaited"]
pub struct LaunchingByName {
    shared: Arc<Shared>,
    process: Result<Arc<dyn ProcessType>, RunError>,
    inputs: InputMap,
    key: Option<String>,
    pid: Option<ProcessId>,
    listeners: Result<Vec<Attached>, RunError>,
    unstarted: bool,
    owes: Option<OwedReply>,
    undisturbed: bool,
    placement: Placement,
}

impl<P: Process> Launching<P> {
    pub(super) fn new(shared: &Arc<Shared>, inputs: InputMap) -> Self {
        let process = shared.env.registry.of::<P>();
        Self { by_name: LaunchingByName::of(shared, process, inputs), process: PhantomData }
    }

    /// Adds a listener to the process, which is stored with it. A launch that finds its key taken adds none.
    ///
    /// The launch fails if the type is not registered with the runtime, or cannot be written as JSON.
    pub fn listener<L: SavedListener>(mut self, listener: L) -> Self {
        self.by_name = self.by_name.listener(listener);
        self
    }

    /// Makes the launch idempotent: the same key gives the same process, also after a restart.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.by_name = self.by_name.key(key);
        self
    }

    /// Gives the process this id.
    pub fn id(mut self, pid: impl Into<ProcessId>) -> Self {
        self.by_name = self.by_name.id(pid);
        self
    }

    /// Creates the process without starting it: it stays created, also after a restart, until
    /// [`AnyHandle::start`](crate::AnyHandle::start).
    pub fn unstarted(mut self) -> Self {
        self.by_name = self.by_name.unstarted();
        self
    }

    /// Puts the process into a queue, from which workers claim it that claim from that queue; see
    /// [`RuntimeBuilder::worker`](crate::RuntimeBuilder::worker).
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.by_name = self.by_name.queue(queue);
        self
    }

    /// Has workers claim the process before those of a lower priority, which is 0 without this.
    pub fn priority(mut self, priority: i32) -> Self {
        self.by_name = self.by_name.priority(priority);
        self
    }

    /// Leaves the process to whichever worker claims it, instead of running it here.
    pub fn anywhere(mut self) -> Self {
        self.by_name = self.by_name.anywhere();
        self
    }
}

impl LaunchingByName {
    pub(super) fn new(shared: &Arc<Shared>, process: &str, inputs: InputMap) -> Self {
        Self::of(shared, shared.env.registry.named(process), inputs)
    }

    fn of(shared: &Arc<Shared>, process: Result<Arc<dyn ProcessType>, RunError>, inputs: InputMap) -> Self {
        Self {
            shared: Arc::clone(shared),
            process,
            inputs,
            key: None,
            pid: None,
            listeners: Ok(Vec::new()),
            unstarted: false,
            owes: None,
            undisturbed: false,
            placement: Placement::default(),
        }
    }

    /// Adds a listener to the process, which is stored with it. A launch that finds its key taken adds none.
    ///
    /// The launch fails if the type is not registered with the runtime, or cannot be written as JSON.
    pub fn listener<L: SavedListener>(mut self, listener: L) -> Self {
        self.listeners = self.listeners.and_then(|mut listeners| {
            let attached = self.shared.env.listeners.attach(listener)?;
            if !listeners.iter().any(|known| known.same_as(&attached)) {
                listeners.push(attached);
            }
            Ok(listeners)
        });
        self
    }

    /// Makes the launch idempotent: the same key gives the same process, also after a restart.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Gives the process this id.
    pub fn id(mut self, pid: impl Into<ProcessId>) -> Self {
        self.pid = Some(pid.into());
        self
    }

    /// Creates the process without starting it: it stays created, also after a restart, until
    /// [`AnyHandle::start`](crate::AnyHandle::start).
    pub fn unstarted(mut self) -> Self {
        self.unstarted = true;
        self
    }

    /// Puts the process into a queue, from which workers claim it that claim from that queue; see
    /// [`RuntimeBuilder::worker`](crate::RuntimeBuilder::worker).
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.placement.queue = queue.into();
        self
    }

    /// Has workers claim the process before those of a lower priority, which is 0 without this.
    pub fn priority(mut self, priority: i32) -> Self {
        self.placement.priority = priority;
        self
    }

    /// Leaves the process to whichever worker claims it, instead of running it here.
    pub fn anywhere(mut self) -> Self {
        self.placement.unowned = true;
        self
    }

    /// Stores a reply that the process owes at its end, with its creation, or with the process that has the key.
    pub(crate) fn owes(mut self, reply: OwedReply) -> Self {
        self.owes = Some(reply);
        self
    }

    /// Whoever awaits it does so to its end, where drivers run: it needs no task of its own.
    pub(crate) fn undisturbed(mut self) -> Self {
        self.undisturbed = true;
        self
    }

    async fn launch(self) -> Result<AnyHandle, RunError> {
        let process = self.process?;
        if self.shared.is_closing() {
            return Err(RunError::Closed);
        }
        let inputs = process.spec().prepare_inputs(self.inputs)?;
        let pid = self.pid.unwrap_or_default();
        let listeners = self.listeners?;
        if listeners.len() > limits::LISTENERS {
            return Err(RunError::TooMany { pid, what: "listeners", most: limits::LISTENERS });
        }
        let (at, unstarted, owes) = (self.shared.env.clock.now(), self.unstarted, self.owes);
        let new = New {
            process: Arc::clone(&process),
            pid,
            key: self.key,
            inputs,
            listeners,
            unstarted,
            owes,
            at,
            placement: self.placement,
        };
        let (slot, is_new) = if self.shared.store().is_none() {
            create_volatile(&self.shared, new)?
        } else if self.undisturbed {
            create_stored(&self.shared, new).await?
        } else {
            // On a task of its own: if the caller goes away meanwhile, what the store has is run all the same.
            let shared = Arc::clone(&self.shared);
            let creation = self.shared.tokio.spawn(async move { create_stored(&shared, new).await });
            creation.await.unwrap_or_else(|failed| match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(RunError::Closed),
            })?
        };
        if let Some(remote) = &self.shared.remote {
            remote.arrived().await;
        }
        Ok(AnyHandle::new(self.shared, slot, process.name()).launched(is_new))
    }
}

/// A process that is about to exist.
struct New {
    process: Arc<dyn ProcessType>,
    pid: ProcessId,
    key: Option<String>,
    inputs: PreparedInputs,
    listeners: Vec<Attached>,
    unstarted: bool,
    owes: Option<OwedReply>,
    at: Timestamp,
    placement: Placement,
}

impl New {
    /// The process in memory, when its hooks have agreed to it.
    fn live(&self, shared: &Shared) -> Result<Box<dyn Live>, RunError> {
        let process = &self.process;
        let mut live = process
            .create(&shared.env, self.pid.clone(), self.inputs.clone())
            .map_err(|error| unwritable(process, &error))?;
        if self.unstarted {
            live.hold();
        }
        creating(&mut *live, &self.pid)
            .map_err(|error| RunError::Refused { process: process.name(), error: Box::new(error) })?;
        Ok(live)
    }

    /// Whether the process can begin with its creation, which saves a commit: where nobody takes part in the transition, and a slot is
    /// free.
    fn may_begin_at_once(&self, shared: &Shared, live: &mut dyn Live) -> bool {
        let unwatched = shared.listeners.is_empty() && self.listeners.is_empty() && live.hooks().is_none();
        // Predicates are asked when it is known that the process is new.
        unwatched
            && !self.unstarted
            && !self.placement.unowned
            && self.process.begins_with_a_step()
            && shared.slots.available_permits() > 0
    }

    /// Tells that the process exists, and lets it run.
    fn adopt(
        self,
        shared: &Arc<Shared>,
        slot: Arc<Slot>,
        live: Box<dyn Live>,
        begun: bool,
        messages: [Option<Uuid>; 2],
    ) -> Arc<Slot> {
        let mut resident = Resident::new(live);
        if begun {
            resident.begin();
        }
        if !self.listeners.is_empty() {
            resident.extra_mut().listeners = self.listeners;
        }
        created(shared, &mut resident, &self.pid);
        shared.adopt_new(&Entry::new(slot, self.process, None, self.at, resident), messages)
    }
}

/// With whether it is new.
fn create_volatile(shared: &Arc<Shared>, new: New) -> Result<(Arc<Slot>, bool), RunError> {
    let New { process, pid, .. } = &new;
    let in_use = |key: String, slot: &Slot, name: &str| {
        Err(RunError::KeyInUse { key, pid: slot.pid.clone(), process: name.to_owned() })
    };
    let known = shared.entry(pid);
    if let Some(known) = known.as_ref().filter(|known| known.process.name() != process.name()) {
        return in_use(pid.to_string(), &known.slot, known.process.name());
    }
    let slot = known.as_ref().map_or_else(|| Slot::new(pid.clone()), |known| Arc::clone(&known.slot));
    let live = if known.is_none() { Some(new.live(shared)?) } else { None };
    if let Some(key) = &new.key
        && let Some((holder, name)) = shared.keys.take(key.clone(), &slot, process.name())
    {
        return if name == process.name() { Ok((holder, false)) } else { in_use(key.clone(), &holder, name) };
    }
    let Some(live) = live else { return Ok((slot, false)) };
    let adopted = new.adopt(shared, Arc::clone(&slot), live, false, [None; 2]);
    let is_new = Arc::ptr_eq(&adopted, &slot);
    if !is_new {
        // Another launch with this id was faster. The key leads to ours: who has it of the key learns of the same end.
        let runs = Arc::clone(&adopted);
        shared.tokio.spawn(async move { slot.fill(runs.wait().await.clone()) });
    }
    Ok((adopted, is_new))
}

/// With whether it is new.
async fn create_stored(shared: &Arc<Shared>, new: New) -> Result<(Arc<Slot>, bool), RunError> {
    let Some(store) = shared.store() else { return Err(RunError::NoStore) };
    let New { process, pid, .. } = &new;
    shared.joined().await;
    let mut live = new.live(shared)?;
    let mut begun = new.may_begin_at_once(shared, live.as_mut());
    // What is chosen is stored with it, so that it is not chosen again.
    if begun && !matches!(caught(|| live.choose()), Ok(Ok(Chosen::Step))) {
        // It ends at once, or a predicate failed, which is to fail where it runs.
        (live, begun) = (new.live(shared)?, false);
    }
    let mut row = new_process(pid.clone(), live.as_mut(), process, &new.inputs, new.at)
        .map_err(|error| unwritable(process, &error))?;
    row.begun = begun.then(|| live.at());
    let creation = Transition { pid, from: None, to: ProcessState::Created };
    let beginning = Transition { from: Some(ProcessState::Created), to: ProcessState::Running, ..creation };
    let messages = [shared.message(creation), begun.then(|| shared.message(beginning)).flatten()];
    let stored = messages.each_ref().map(|message| message.as_ref().map(|message| message.id));
    row.messages = messages.into_iter().flatten().collect();
    row.key.clone_from(&new.key);
    row.owes.clone_from(&new.owes);
    row.placement.clone_from(&new.placement);
    if !new.listeners.is_empty() {
        let text = text_of(&new.listeners).map_err(|error| unwritable(process, &ErrorInfo::from_error(&error)))?;
        row.listeners = Some(text);
    }
    let creation = {
        let _adopting = shared.adoption.read().await;
        // Under the epoch that the process in memory writes under, even if the worker has joined anew since.
        let creation = store.create(live.core().epoch, row).await;
        let creation = creation.inspect_err(|error| shared.doubt(error))?;
        if creation == Creation::Created {
            let slot = Slot::new(pid.clone());
            if new.placement.unowned {
                if let Some(remote) = &shared.remote {
                    remote.tell(Transition { pid, from: None, to: ProcessState::Created }, stored[0]);
                }
                shared.find_end(&slot).await?;
                return Ok((slot, true));
            }
            return Ok((new.adopt(shared, slot, live, begun, stored), true));
        }
        creation
    };
    let Creation::Exists { pid, process: name } = creation else { return Err(RunError::NotFound(pid.clone())) };
    if name != process.name() && !process.also().contains(&name.as_str()) {
        // The store knows no other names of a type: it had that process owe the reply, which is refused instead.
        if let Some(reply) = new.owes {
            store.settle(shared.env.epoch(), vec![(pid.clone(), reply.id)]).await?;
        }
        return Err(RunError::KeyInUse { key: new.key.unwrap_or_else(|| pid.to_string()), pid, process: name });
    }
    Ok((shared.attach(&pid).await?.0, false))
}

fn unwritable(process: &Arc<dyn ProcessType>, error: &ErrorInfo) -> RunError {
    RunError::Unwritable { process: process.name(), message: error.to_string() }
}

/// A process that cannot go on: its id, its parent, and why.
type Failure = (ProcessId, Option<ProcessId>, RunError);

/// Brings every unfinished process of the store, page by page, and then lets them run.
///
/// Contexts are decoded on all cores, while the next page is read: it is most of the work.
pub(super) async fn bring_unfinished(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(store) = shared.store() else { return Ok(()) };
    shared.hold();
    let mut after = None;
    let mut batches = Vec::new();
    let mut failures = Vec::new();
    loop {
        let page = store.unfinished(after, limits::SCAN_PAGE).await?;
        wait_for(std::mem::take(&mut batches), &mut failures).await?;
        for (pid, reason) in page.unreadable {
            // One that cannot even be put aside is left as it is, and keeps nobody from going on.
            let parked = shared.park(&pid, format!("its row cannot be read: {reason}")).await;
            let error = parked.unwrap_or_else(|error| error);
            failures.push((pid, None, error));
        }
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let size = page.records.len().div_ceil(workers).max(1);
        let mut records = page.records.into_iter();
        loop {
            let batch: Vec<Record> = records.by_ref().take(size).collect();
            if batch.is_empty() {
                break;
            }
            batches.push(tokio::spawn(bring_batch(Arc::clone(shared), batch)));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    wait_for(batches, &mut failures).await?;
    if let Some(remote) = &shared.remote {
        remote.arrived().await;
    }
    shared.let_run();
    for (pid, parent, error) in failures {
        tracing::error!(%pid, error = &error as &dyn std::error::Error, "an unfinished process cannot go on");
        shared.fill_watchers(&pid, &Err(error));
        if let Some(parent) = parent {
            shared.wake(&parent);
        }
    }
    Ok(())
}

/// One that cannot go on is left in the store, and does not keep the others from going on.
async fn bring_batch(shared: Arc<Shared>, batch: Vec<Record>) -> Result<Vec<Failure>, RunError> {
    let mut failures = Vec::new();
    for record in batch {
        let (pid, parent) = (record.pid.clone(), record.parent.clone());
        match shared.bring(record, shared.env.epoch()).await {
            Ok(_) => {}
            Err(error @ RunError::Store(_)) => return Err(error),
            Err(error) => failures.push((pid, parent, error)),
        }
    }
    Ok(failures)
}

async fn wait_for(
    batches: Vec<tokio::task::JoinHandle<Result<Vec<Failure>, RunError>>>,
    failures: &mut Vec<Failure>,
) -> Result<(), RunError> {
    for batch in batches {
        failures.extend(batch.await.map_err(|_| RunError::Closed)??);
    }
    Ok(())
}

impl<P: Process> IntoFuture for Launching<P> {
    type Output = Result<Handle<P>, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.by_name.launch().await.map(Handle::new) })
    }
}

impl IntoFuture for LaunchingByName {
    type Output = Result<AnyHandle, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.launch())
    }
}

impl<P> std::fmt::Debug for Launching<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.by_name.fmt(f)
    }
}

impl std::fmt::Debug for LaunchingByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launching").field("process", &self.process).field("key", &self.key).finish_non_exhaustive()
    }
}
