//! What steps see of the runtime: inputs, outputs, children, time, resources.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

use super::{
    Board, BoxError, BoxFuture, Call, Child, Effects, ErrorInfo, Exclusive, Flow, Hand, HandOver, Launched, Needs,
    Next, Process, ProcessId, Progress, Slot,
};
use crate::clock::{Clock, Timestamp};
use crate::limits;
use crate::listener::{Change, ListenerTypes, SavedListener};
use crate::registry::Registry;
use crate::resources::Resources;
use crate::runner::{Hub, RunError};
use crate::spec::{
    Direction, Entry, Launch, PortNamespace, PortValues, PortWriter, ProcessSpec, Spec, SpecError, raw_inputs, spec_of,
};
use crate::store::{Epoch, Store, StoreError};
use crate::stream::Streams;

/// What all processes of a runtime share.
pub(crate) struct Env {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) resources: Resources,
    pub(crate) registry: Registry,
    pub(crate) listeners: ListenerTypes,
    pub(crate) store: Option<Arc<dyn Store>>,
    /// How far the steps are that say so.
    pub(crate) board: Board,
    /// What joins the streams of processes with the transport.
    pub(crate) hub: Arc<Hub>,
    /// Under which this runtime writes; another one after it has lost its lease.
    epoch: AtomicU64,
}

impl Env {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        resources: Resources,
        registry: Registry,
        listeners: ListenerTypes,
        store: Option<Arc<dyn Store>>,
        hub: Arc<Hub>,
        epoch: Epoch,
    ) -> Self {
        let (board, epoch) = (Board::default(), AtomicU64::new(epoch.0));
        Self { clock, resources, registry, listeners, store, board, hub, epoch }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    pub(crate) fn set_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }
}

/// How many of something a process has.
#[derive(Debug, Default)]
pub(crate) struct Has {
    pub(crate) cleanups: usize,
    /// Calls that have not ended.
    pub(crate) calls: Option<Arc<AtomicUsize>>,
}

/// The part of the handle that does not depend on the type of the process.
pub(crate) struct CxCore {
    pub(crate) pid: ProcessId,
    pub(crate) env: Arc<Env>,
    /// Of its owner when it came here: what is left of a process that was lost writes nothing more.
    pub(crate) epoch: Epoch,
    pub(crate) spec: &'static ProcessSpec,
    /// The number of committed steps; with the pid it is the idempotency key.
    pub(crate) steps: u64,
    pub(crate) outputs: Map<String, Value>,
    pub(crate) status: Option<String>,
    /// What it has said last of how far it is.
    pub(crate) progress: Option<Box<Progress>>,
    /// The names of the inputs that have their default, as JSON.
    pub(crate) defaulted: Option<Box<str>>,
    pub(crate) resumed: Option<Box<Value>>,
    pub(crate) effects: Effects,
    /// Cleanups, calls and listeners as of the last boundary: there is a limit to each.
    pub(crate) has: Has,
    /// What it has of its streams; none where it has no such ports.
    pub(crate) streams: Option<Box<Streams>>,
    /// Whether a memo was written in this step, so that the boundary deletes it.
    pub(crate) memos: bool,
}

/// The context handle of a step: the process's link to its inputs and to the runtime.
///
/// Whatever a step does through it takes effect at the step boundary, in one transaction with the process's fields;
/// a step that fails or is cut off leaves no trace.
pub struct Cx<P: Spec> {
    pub(crate) core: CxCore,
    pub(crate) inputs: Arc<P::Inputs>,
}

impl<P: Spec> Cx<P> {
    /// The inputs, immutable.
    pub fn inputs(&self) -> &P::Inputs {
        &self.inputs
    }

    /// The inputs as they were passed, without defaults (S16). A namespace of which nothing was passed is not there.
    pub fn raw_inputs(&self) -> Map<String, Value> {
        let mut ports = PortWriter::new();
        self.inputs.write(&mut ports);
        let (values, _) = ports.finish().into_parts();
        let defaulted: Vec<String> =
            self.core.defaulted.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut raw = raw_inputs(&values, &defaulted);
        leave_out_empty(&mut raw, self.core.spec.inputs());
        raw
    }

    /// The id of this process.
    pub fn pid(&self) -> &ProcessId {
        &self.core.pid
    }

    /// The idempotency key of this step: the same when its body runs again after a crash, different for every step
    /// of every process. Hand it to whatever the step calls.
    pub fn key(&self) -> String {
        format!("{}/{}", self.core.pid, self.core.steps)
    }

    /// The number of steps that were committed before this one.
    pub fn steps(&self) -> u64 {
        self.core.steps
    }

    /// The present time of the runtime's clock.
    pub fn now(&self) -> Timestamp {
        self.core.env.clock.now()
    }

    /// The status text.
    pub fn status(&self) -> Option<&str> {
        self.core.effects.status.as_ref().unwrap_or(&self.core.status).as_deref()
    }

    /// Sets the status text, which is stored with the step.
    pub fn set_status(&mut self, text: impl Into<String>) {
        self.core.effects.status = Some(Some(text.into()));
    }

    /// Says how far the process is: so much is done, of so much in all, where that is known. `cx.progress(3, 10)`,
    /// `cx.progress(3, None)`.
    ///
    /// It is stored with the step, and stays until the process says something else. Whoever looks at the store sees it about a
    /// second later while the step still runs, as a hint that is never relied on. It may be called as often as is convenient.
    pub fn progress(&mut self, done: u64, total: impl Into<Option<u64>>) {
        let now = self.now();
        let core = &mut self.core;
        let told = core.effects.progress.as_ref();
        let before = told.map(|told| told.progress()).or(core.progress.as_deref().copied());
        let progress = Progress::after(before, done, total.into(), now);
        match told {
            Some(told) => core.env.board.change(told, progress),
            None => core.effects.progress = Some(core.env.board.add(&core.pid, core.epoch, core.steps, progress)),
        }
    }

    /// Adds a line to the report of the process, which is stored with the step.
    pub fn report(&mut self, line: impl Into<String>) {
        self.core.effects.reports.push(line.into());
    }

    /// Emits an output by name, dotted for a nested one (S48). It is validated now and stored with the step.
    ///
    /// # Errors
    /// There is no such output, or the value is not of its type or fails its validator.
    pub fn out<T: Serialize + ?Sized>(&mut self, port: &str, value: &T) -> Result<(), SpecError> {
        self.core.emit(port, value)
    }

    /// Emits the outputs of a child under the name of a namespace: those that it exposes, or all where it exposes none
    /// of that process. What else the namespace has may be set before or after.
    ///
    /// # Errors
    /// The child has not ended, its outputs do not fit the namespace, or it did not finish normally and is without
    /// an output that is required.
    pub fn forward<C: Process>(&mut self, namespace: &str, child: &Child<C>) -> Result<(), BoxError> {
        let outputs = child.forwarded(self.core.spec, namespace)?;
        self.core.emit_valid(namespace, Value::Object(outputs));
        Ok(())
    }

    /// After this step, waits until the duration is over; the process costs no slot meanwhile. Survives a restart:
    /// a time that is over then counts as reached.
    pub fn sleep(&mut self, duration: Duration) {
        self.sleep_until(self.now() + duration);
    }

    /// After this step, waits until a time; the latest of several counts.
    pub fn sleep_until(&mut self, time: Timestamp) {
        let wake_at = &mut self.core.effects.wake_at;
        *wake_at = (*wake_at).max(Some(time));
    }

    /// The value of the last [`wait`](Self::wait)'s resume, in a process with an outline.
    ///
    /// # Errors
    /// The value is not a `T`.
    pub fn resumed<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.core.resumed.as_deref().map(T::deserialize).transpose()
    }

    /// A resource that the process declares as `#[process(needs(T))]`.
    ///
    /// # Panics
    /// Never in a runtime: what is declared is checked when the process is registered.
    pub fn resource<T: Send + Sync + 'static>(&self) -> Arc<T>
    where
        P: Needs<T>,
    {
        self.core.env.resources.get::<T>().expect("a declared need is checked when the process is registered")
    }

    /// Launches a child and waits for it: the next step runs when the child has ended.
    ///
    /// The child starts with the step boundary. If it is killed or excepts, this process excepts when the wait ends;
    /// see [`allow_failure`](Self::allow_failure). An exit code is a result, not a failure.
    ///
    /// # Errors
    /// The inputs are not valid, or the child's type is not registered.
    pub fn launch<C: Process>(&mut self, inputs: impl Launch<C>) -> Result<Child<C>, RunError> {
        self.launcher(true).launch(inputs)
    }

    /// Launches a child and does not wait for it; it lives on when this process ends.
    ///
    /// # Errors
    /// The inputs are not valid, or the child's type is not registered.
    pub fn launch_detached<C: Process>(&mut self, inputs: impl Launch<C>) -> Result<Child<C>, RunError> {
        self.launcher(false).launch(inputs)
    }

    /// Launches a child whose kill or exception does not end this process: `cx.allow_failure().launch(inputs)?`.
    pub fn allow_failure(&mut self) -> Launcher<'_> {
        Launcher { allow_failure: true, ..self.launcher(true) }
    }

    /// Launches a child that is not waited for, with options: `cx.detached().killed_with_parent().launch(inputs)?`.
    pub fn detached(&mut self) -> Launcher<'_> {
        self.launcher(false)
    }

    fn launcher(&mut self, awaited: bool) -> Launcher<'_> {
        Launcher { core: &mut self.core, awaited, allow_failure: false, follows: false }
    }

    /// Adds a listener to this process, which is stored with it and works again when it is loaded (S41). It is told from
    /// this step's boundary on. One that is stored as an equal text is there already, and nothing changes.
    ///
    /// # Errors
    /// The type is not registered with the runtime, or cannot be written as JSON.
    pub fn add_listener<L: SavedListener>(&mut self, listener: L) -> Result<(), RunError> {
        let attached = self.core.env.listeners.attach(listener)?;
        self.core.effects.listeners.push(Change::Add(attached));
        Ok(())
    }

    /// Removes all listeners of a type from this process, with this step's boundary.
    pub fn remove_listener<L: SavedListener>(&mut self) {
        self.core.effects.listeners.push(Change::Remove(L::NAME));
    }

    /// Runs a closure when the process ends in this runtime, however it ends: after `on_terminated`, in the order in which
    /// they were added (S65). It counts at once, also if this step fails. It is not stored: a process that is loaded again
    /// has none. A panic in it is logged.
    ///
    /// # Errors
    /// There are [`limits::CLEANUPS`] already.
    pub fn add_cleanup(&mut self, cleanup: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
        let known = self.core.has.cleanups + self.core.effects.cleanups.len();
        self.core.has_room("cleanups", known, limits::CLEANUPS)?;
        self.core.effects.cleanups.push(Exclusive::new(Box::new(cleanup)));
        Ok(())
    }

    /// Runs a future beside the steps that follow, from this step's boundary on. An error or a panic in it fails the
    /// process (S34).
    ///
    /// It is not stored: it is cut off when the process ends or the runtime stops, and gone after a restart. Work that
    /// must not be lost is a step or a child.
    ///
    /// # Errors
    /// [`limits::CALLS`] of them run already.
    pub fn call_soon<E: Into<BoxError>>(
        &mut self,
        call: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Result<CallHandle, RunError> {
        let running = self.core.has.calls.as_ref().map_or(0, |calls| calls.load(Ordering::Acquire));
        let known = running + self.core.effects.calls.len();
        self.core.has_room("calls", known, limits::CALLS)?;
        let (cancel, cancelled) = oneshot::channel();
        let future = Exclusive::new(Box::pin(async move { call.await.map_err(Into::into) }) as BoxFuture<'static, _>);
        self.core.effects.calls.push(Call { future, cancelled });
        Ok(CallHandle(cancel))
    }

    /// Runs an effect once in this step: its value is stored under the name, and a body that runs again after a crash
    /// gets the stored value. Only success is stored. Names are unique within a step.
    ///
    /// # Errors
    /// The effect failed, its value cannot be stored, or the store failed.
    pub async fn once<T, E, F>(&mut self, name: &str, effect: F) -> Result<T, BoxError>
    where
        T: Serialize + DeserializeOwned,
        E: Into<BoxError>,
        F: Future<Output = Result<T, E>>,
    {
        let Some(store) = self.core.env.store.clone() else {
            return effect.await.map_err(Into::into);
        };
        let step = self.core.steps;
        let memo = store.memo(&self.core.pid, step, name).await;
        if let Some(memo) = memo.map_err(|error| self.core.lose(error))? {
            self.core.memos = true;
            return Ok(serde_json::from_str(&memo)?);
        }
        let value = effect.await.map_err(Into::into)?;
        let memo = serde_json::to_string(&value)?;
        self.core.memos = true;
        let put = store.put_memo(&self.core.pid, self.core.epoch, step, name, memo).await;
        put.map_err(|error| self.core.lose(error))?;
        Ok(value)
    }
}

impl<P: Flow> Cx<P> {
    /// Hands over to the next step: a method per step in a process of `steps!`, what follows in one with an outline.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&self) -> P::Next {
        P::Next::next()
    }

    /// Waits for a resume, with a text for people; the process costs no slot meanwhile.
    pub fn wait(&self, text: impl Into<String>) -> P::Wait {
        P::Wait::wait(text.into())
    }

    /// Ends the process normally, with a result.
    pub fn stop<T: Serialize>(&self, result: T) -> Next<P> {
        Next(Hand::Stop(serde_json::to_value(result)))
    }

    /// Ends the process with an exit code.
    pub fn exit(&self, exit: P::Exit) -> Next<P> {
        Next::exit(exit)
    }

    /// Ends the process as killed.
    pub fn kill(&self, text: impl Into<String>) -> Next<P> {
        Next(Hand::Kill(text.into()))
    }
}

/// A future that was handed to [`Cx::call_soon`]. Dropping it changes nothing.
#[derive(Debug)]
pub struct CallHandle(oneshot::Sender<()>);

impl CallHandle {
    /// Cuts the future off, or keeps it from starting. One that has ended is left alone.
    pub fn cancel(self) {
        let _ = self.0.send(());
    }
}

/// Launches children with options; see [`Cx::allow_failure`] and [`Cx::detached`].
#[must_use = "nothing is launched without `.launch(inputs)`"]
pub struct Launcher<'a> {
    core: &'a mut CxCore,
    awaited: bool,
    allow_failure: bool,
    follows: bool,
}

impl Launcher<'_> {
    /// A kill of this process reaches the child, though it is not waited for. One that is waited for is reached anyway.
    pub fn killed_with_parent(mut self) -> Self {
        self.follows = !self.awaited;
        self
    }

    /// Launches a child.
    ///
    /// # Errors
    /// The inputs are not valid, or the child's type is not registered.
    pub fn launch<C: Process>(self, inputs: impl Launch<C>) -> Result<Child<C>, RunError> {
        let process = self.core.env.registry.of::<C>()?;
        let inputs = spec_of::<C>().prepare_inputs(inputs.into_inputs())?;
        let pid = ProcessId::child(&format!("{}/{}", self.core.pid, self.core.steps), self.core.effects.launched.len());
        let slot = Slot::new(pid.clone());
        self.core.effects.launched.push(Launched {
            pid,
            process,
            inputs,
            awaited: self.awaited,
            allow_failure: self.allow_failure,
            follows: self.follows,
            slot: Arc::clone(&slot),
        });
        Ok(Child::new(slot))
    }
}

impl CxCore {
    /// The store failed: whatever the step makes of it, the driver will not take it for a failure of the process.
    fn lose(&mut self, error: StoreError) -> StoreError {
        self.effects.lost = Some(error.clone());
        error
    }

    fn has_room(&self, what: &'static str, known: usize, most: usize) -> Result<(), RunError> {
        if known < most { Ok(()) } else { Err(RunError::TooMany { pid: self.pid.clone(), what, most }) }
    }

    pub(crate) fn emit<T: Serialize + ?Sized>(&mut self, port: &str, value: &T) -> Result<(), SpecError> {
        let value = serde_json::to_value(value).map_err(|error| {
            let fault = crate::spec::Fault::new(port, format!("cannot be written as JSON: {error}"));
            SpecError::of(Direction::Outputs, self.spec.process(), fault)
        })?;
        self.spec.check_output(port, &value)?;
        self.emit_valid(port, value);
        Ok(())
    }

    pub(crate) fn emit_valid(&mut self, port: &str, value: Value) {
        self.effects.emitted.push((port.to_owned(), value));
    }

    /// Puts the emitted outputs into the tree of outputs.
    pub(crate) fn apply_outputs(&mut self) -> Result<(), ErrorInfo> {
        for (path, value) in &self.effects.emitted {
            let namespace = match self.spec.outputs().get(path) {
                Some(Entry::Namespace(namespace)) => Some(namespace),
                _ => None,
            };
            put(&mut self.outputs, path, value.clone(), namespace)?;
        }
        Ok(())
    }
}

/// Leaves out namespaces without values: the typed inputs have them all.
fn leave_out_empty(values: &mut Map<String, Value>, namespace: &PortNamespace) {
    for entry in namespace.entries() {
        let Entry::Namespace(inner) = entry else { continue };
        let Some(Value::Object(below)) = values.get_mut(inner.name()) else { continue };
        leave_out_empty(below, inner);
        if below.is_empty() {
            values.remove(inner.name());
        }
    }
}

/// Puts a value at a dotted name; that of a namespace beside what is there.
fn put(
    outputs: &mut Map<String, Value>,
    path: &str,
    value: Value,
    namespace: Option<&PortNamespace>,
) -> Result<(), ErrorInfo> {
    match path.split_once('.') {
        None => put_here(outputs, path, value, namespace),
        Some((head, rest)) => match outputs.entry(head).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => put(inner, rest, value, namespace)?,
            _ => return Err(ErrorInfo::new(format!("output `{head}` is a value, not a namespace"))),
        },
    }
    Ok(())
}

/// A namespace that was filled in part keeps what it has, on all levels.
fn put_here(outputs: &mut Map<String, Value>, name: &str, value: Value, namespace: Option<&PortNamespace>) {
    match (outputs.get_mut(name), value, namespace) {
        (Some(Value::Object(known)), Value::Object(new), Some(namespace)) => {
            for (name, value) in new {
                let inner = namespace.entries().iter().find_map(|entry| match entry {
                    Entry::Namespace(inner) if inner.name() == name => Some(inner),
                    _ => None,
                });
                put_here(known, &name, value, inner);
            }
        }
        (_, value, _) => drop(outputs.insert(name.to_owned(), value)),
    }
}

impl<P: Spec> fmt::Debug for Cx<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx").field("pid", &self.core.pid).field("steps", &self.core.steps).finish_non_exhaustive()
    }
}

impl fmt::Debug for Launcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher").field("pid", &self.core.pid).finish_non_exhaustive()
    }
}
