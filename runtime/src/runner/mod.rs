//! Runs processes: launches them, goes on with what is unfinished, and shuts down without losing anything.

mod announce;
mod aside;
mod beside;
mod boundary;
mod caught;
mod commit;
mod drain;
mod drive;
mod elsewhere;
mod ends;
mod entry;
mod error;
mod handle;
mod health;
mod hints;
mod hooks;
mod instance;
mod keys;
#[cfg(feature = "conformance")]
pub(crate) mod kinds;
mod launch;
mod lease;
mod listeners;
mod mending;
mod owed;
mod poison;
mod position;
mod remote;
mod requests;
mod restore;
mod shared;
mod sharing;
mod snapshots;
mod streams;
mod timers;

pub use error::RunError;
pub use handle::{AnyHandle, Handle, Status};
pub use health::{Answers, Counted, Health, LeaseHealth};
pub use launch::{Launching, LaunchingByName};
pub use mending::Mending;
pub use sharing::WorkerOptions;

pub(crate) use caught::{caught, caught_async};
pub(crate) use instance::{ProcessType, TypeOf};
pub(crate) use position::step_in;
pub(crate) use streams::Hub;

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession_transport::{LocalTransport, Transport};

use crate::clock::{Clock, SystemClock};
use crate::communicator::Communicator;
use crate::limits;
use crate::listener::{Listener, ListenerId, ListenerTypes, SavedListener};
use crate::picture::Picture;
use crate::process::{BoxFuture, Env, Process, ProcessId};
use crate::registry::{Registry, RegistryBuilder};
use crate::resources::Resources;
use crate::spec::{InputMap, Launch, ProcessSpec};
use crate::store::{Epoch, Store};
use remote::Remote;
use shared::Shared;
use sharing::Sharing;

tokio::task_local! {
    pub(crate) static CURRENT: ProcessId;
}

/// The process on whose behalf the caller runs: inside a step, a hook or a predicate.
pub fn current() -> Option<ProcessId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs processes. Clones are the same runtime; when the last one is dropped, no further step begins.
///
/// # Examples
/// A runtime without a store, for tests and for work that may be lost:
/// ```
/// # use procession_runtime::Runtime;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), procession_runtime::RunError> {
/// let runtime = Runtime::volatile().build().await?;
/// runtime.shutdown().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Runtime {
    guard: Arc<Guard>,
}

/// Closes the runtime with its last handle.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Runtime {
    /// Configures a runtime; it needs a [`store`](RuntimeBuilder::store).
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// Configures a runtime **without a store**: nothing survives the end of the OS process. For tests, and for work
    /// that may be lost. Everything else is as with a store, and much faster.
    pub fn volatile() -> RuntimeBuilder {
        RuntimeBuilder { volatile: true, ..RuntimeBuilder::new() }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.guard.0
    }

    /// Launches a process with complete inputs: `runtime.launch(Relax::inputs().steps(3)).await?`.
    ///
    /// With [`.key(text)`](Launching::key) it is idempotent: the same key gives the same process.
    pub fn launch<P: Process>(&self, inputs: impl Launch<P>) -> Launching<P> {
        Launching::new(self.shared(), inputs.into_inputs())
    }

    /// Launches a process by its registered name, with inputs as JSON.
    pub fn launch_by_name(&self, process: &str, inputs: serde_json::Map<String, serde_json::Value>) -> LaunchingByName {
        LaunchingByName::new(self.shared(), process, InputMap::from(inputs))
    }

    /// The ports of a process by its registered name: to describe it, to check inputs without a launch.
    ///
    /// ```
    /// use procession_runtime::{RunError, Runtime};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), RunError> {
    /// let runtime = Runtime::volatile().build().await?;
    /// for name in runtime.processes() {
    ///     println!("{name}: {}", runtime.spec(name)?.input_schema());
    /// }
    /// assert!(matches!(runtime.spec("Relax"), Err(RunError::UnknownProcess { .. })));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// No process is registered under this name; the nearest one is told.
    pub fn spec(&self, process: &str) -> Result<&'static ProcessSpec, RunError> {
        Ok(self.shared().env.registry.named(process)?.spec())
    }

    /// The outline of a registered process as a picture.
    ///
    /// # Errors
    /// No process is registered under the name.
    pub fn picture(&self, process: &str) -> Result<Picture, RunError> {
        Ok(self.shared().env.registry.named(process)?.picture())
    }

    /// The registered names of all processes, sorted; other names that a process goes by are not among them.
    pub fn processes(&self) -> Vec<&'static str> {
        self.shared().env.registry.names()
    }

    /// The link to a process that was launched before. One that is in the store and has not ended goes on.
    ///
    /// # Errors
    /// There is no such process, it was parked, or the store failed.
    pub async fn attach(&self, pid: &ProcessId) -> Result<AnyHandle, RunError> {
        let (slot, process) = self.shared().attach(pid).await?;
        Ok(AnyHandle::new(Arc::clone(self.shared()), slot, &process))
    }

    /// The link to the process with this key.
    ///
    /// # Errors
    /// There is no such process, it was parked, or the store failed.
    pub async fn find(&self, key: &str) -> Result<Option<AnyHandle>, RunError> {
        let shared = self.shared();
        let Some(store) = shared.store() else {
            let known = shared.keys.get(key);
            return Ok(known.map(|(slot, process)| AnyHandle::new(Arc::clone(shared), slot, process)));
        };
        match store.find(key).await? {
            Some(pid) => self.attach(&pid).await.map(Some),
            None => Ok(None),
        }
    }

    /// Adds an observer of all processes, from now on. It is not stored.
    pub fn add_listener(&self, listener: impl Listener) -> ListenerId {
        self.shared().listen(None, Arc::new(listener))
    }

    /// Removes a listener; whether it was there.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        self.shared().listeners.remove(id)
    }

    /// What this runtime has mended that others had left undone.
    pub fn mended(&self) -> Mending {
        self.shared().mender.mended()
    }

    /// The store, if there is one.
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.shared().store()
    }

    /// The communicator, if there is one.
    pub fn communicator(&self) -> Option<&Arc<dyn Communicator>> {
        self.shared().remote.as_ref().map(|remote| &remote.communicator)
    }

    /// What carries the streams of its processes.
    pub fn channels(&self) -> &Arc<dyn Transport> {
        self.shared().env.hub.transport()
    }

    /// Stops: no further step begins; steps that run are waited for, and cut off after
    /// [`limits::SHUTDOWN`]. What is unfinished goes on when the next runtime opens the store; on a store that workers share,
    /// others go on with it at once, and with what runs a step as soon as that has ended.
    ///
    /// # Errors
    /// The store could not be released.
    pub async fn shutdown(&self) -> Result<(), RunError> {
        self.shutdown_within(limits::SHUTDOWN).await
    }

    /// As [`shutdown`](Self::shutdown), with another limit.
    ///
    /// # Errors
    /// The store could not be released.
    pub async fn shutdown_within(&self, limit: Duration) -> Result<(), RunError> {
        self.drain(limit).await;
        self.leave().await
    }

    /// The first half of a shutdown: when it is over, nothing runs, and the store is still owned.
    pub(crate) async fn drain(&self, limit: Duration) {
        drain::drain(self.shared(), limit).await;
    }

    /// Whether it has a process of this name.
    pub(crate) fn knows(&self, process: &str) -> bool {
        self.shared().env.registry.named(process).is_ok()
    }

    /// The epoch under which it writes now.
    pub(crate) fn epoch(&self) -> Epoch {
        self.shared().env.epoch()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared().env.clock
    }

    /// Waits until someone asks this worker to [drain](crate::store::Store::ask_to_drain): then stop it, as on a signal. It is
    /// known when the lease is renewed, so after a third of its length at most. Never ends where there is no such worker.
    pub async fn asked_to_drain(&self) {
        match &self.shared().sharing {
            Some(sharing) => drop(sharing.drain.wait().await),
            None => std::future::pending().await,
        }
    }

    /// Whether it is one worker among others on its store.
    pub(crate) fn is_sharing(&self) -> bool {
        self.shared().sharing.is_some()
    }

    /// The second half: leaves the communicator and the store.
    pub(crate) async fn leave(&self) -> Result<(), RunError> {
        let shared = self.shared();
        if let Some(remote) = &shared.remote {
            remote.gone().await;
        }
        shared.leave();
        if let Some(store) = shared.store() {
            store.release(shared.env.epoch()).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("volatile", &self.store().is_none()).finish_non_exhaustive()
    }
}

/// Configures a [`Runtime`].
pub struct RuntimeBuilder {
    volatile: bool,
    store: Option<Arc<dyn Store>>,
    registry: RegistryBuilder,
    resources: Resources,
    listeners: Vec<Arc<dyn Listener>>,
    listener_types: ListenerTypes,
    clock: Arc<dyn Clock>,
    communicator: Option<Arc<dyn Communicator>>,
    channels: Option<Arc<dyn Transport>>,
    concurrent: usize,
    resident: usize,
    worker: Option<WorkerOptions>,
}

impl RuntimeBuilder {
    fn new() -> Self {
        Self {
            volatile: false,
            store: None,
            registry: RegistryBuilder::default(),
            resources: Resources::default(),
            listeners: Vec::new(),
            listener_types: ListenerTypes::default(),
            clock: Arc::new(SystemClock),
            communicator: None,
            channels: None,
            concurrent: limits::CONCURRENT,
            resident: limits::RESIDENT,
            worker: None,
        }
    }

    /// Registers a process, and those whose ports it exposes.
    pub fn register<P: Process>(mut self) -> Self {
        self.registry.register::<P>();
        self
    }

    /// Registers a process under another name than its own, by which alone it is found and stored, and those whose ports
    /// it exposes. For the instantiations of a generic process, which need a name each (S103):
    /// `.register_as::<Fit<Line>>("fit/line").register_as::<Fit<Plane>>("fit/plane")`.
    pub fn register_as<P: Process>(mut self, name: &'static str) -> Self {
        self.registry.register_as::<P>(name);
        self
    }

    /// Registers every process of the binary whose `#[process]` is not on a generic type.
    #[cfg(feature = "collect")]
    pub fn register_collected(mut self) -> Self {
        self.registry.register_collected();
        self
    }

    /// Keeps processes in this store.
    pub fn store(self, store: impl Store) -> Self {
        self.shared_store(Arc::new(store))
    }

    /// Keeps processes in this store.
    pub fn shared_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Works on the store together with other workers, each of which has its own processes, instead of owning the store.
    /// Unfinished processes that no worker has are claimed as there is room for them.
    ///
    /// A process of another worker can be attached to: its end is seen here, and what is asked of it is done there.
    pub fn worker(mut self, options: WorkerOptions) -> Self {
        self.worker = Some(options);
        self
    }

    /// Gives processes a resource, by its type.
    pub fn resource<T: Send + Sync + 'static>(mut self, resource: T) -> Self {
        self.resources.insert(Arc::new(resource));
        self
    }

    /// Adds an observer of all processes.
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Makes a type of listener known that is stored with processes.
    pub fn register_listener<L: SavedListener>(mut self) -> Self {
        self.listener_types.register::<L>();
        self
    }

    /// Takes time from this clock instead of the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Lets processes be reached over this communicator: each that has not ended answers calls under the text of its id
    /// (play, pause, kill, status), does what broadcasts ask of all (pause, play, kill), and tells of its transitions by
    /// broadcasts, after they are stored.
    ///
    /// A process can be called before its launch returns. A communicator that fails or is away changes nothing for
    /// processes; a launch waits for it at most [`limits::REACHABLE`].
    pub fn communicator(mut self, communicator: Arc<dyn Communicator>) -> Self {
        self.communicator = Some(communicator);
        self
    }

    /// Carries the [streams](crate::stream) of processes over this transport. Processes of several runtimes meet where these have
    /// one transport, or the same broker.
    ///
    /// Without it a runtime takes what its store [brings along](Store::channels), and where that does not outlive the OS process either,
    /// it has one of its own, in memory. What it holds is as sure as the transport: items that a process has sent and no other has
    /// received survive the end of the OS process only with one that is [durable](procession_transport::Capabilities::durable). One
    /// that is not, given here, is taken as it is, with a warning.
    pub fn channels(mut self, transport: Arc<dyn Transport>) -> Self {
        self.channels = Some(transport);
        self
    }

    /// The name of a registered process with streams, where no channels were given to carry them.
    pub fn wants_channels(&self) -> Option<&'static str> {
        if self.channels.is_some() { None } else { self.registry.streaming() }
    }

    /// Runs at most this many steps at the same time; [`limits::CONCURRENT`] by default.
    pub fn concurrent(mut self, most: usize) -> Self {
        self.concurrent = most.max(1);
        self
    }

    /// Keeps at most this many waiting processes in memory, others in the store alone; [`limits::RESIDENT`] by default.
    pub fn resident(mut self, most: usize) -> Self {
        self.resident = most;
        self
    }

    /// Builds the runtime, inside of a tokio runtime. Unfinished processes of the store go on.
    ///
    /// # Errors
    /// Two processes have one name, a declared resource is missing, no store was given, the store is in use or failed, there
    /// is [nothing](RunError::NoChannels) that carries streams as safely as the store keeps processes, or panics abort in this build.
    pub async fn build(self) -> Result<Runtime, RunError> {
        if cfg!(panic = "abort") {
            return Err(RunError::PanicAborts);
        }
        let registry = self.registry.build(&self.resources)?;
        if self.store.is_none() && !self.volatile {
            return Err(RunError::NoStore);
        }
        let store = self.store.filter(|_| !self.volatile);
        let sharing = self.worker.filter(|_| store.is_some()).map(|options| Sharing::new(options, self.concurrent));
        let hub = hub(self.channels, store.as_deref(), &registry, sharing.as_ref())?;
        let asked = Instant::now();
        let epoch = match (&store, &sharing) {
            (Some(store), Some(sharing)) => {
                let epoch = sharing.join(store).await?;
                sharing.lease.granted(asked);
                epoch
            }
            (Some(store), None) => store.acquire().await?,
            (None, _) => Epoch::default(),
        };
        let listeners = self.listener_types;
        let env = Arc::new(Env::new(self.clock, self.resources, registry, listeners, store, Arc::clone(&hub), epoch));
        let listeners = listeners::Listeners::new(self.listeners);
        let remote = self.communicator.map(Remote::new);
        let shared = Shared::new(env, remote, listeners, self.concurrent, self.resident, sharing);
        hub.belong_to(&shared);
        let runtime = Runtime { guard: Arc::new(Guard(Arc::clone(&shared))) };
        if let Some(remote) = &shared.remote {
            remote.start(&shared).map_err(|error| RunError::Thread(error.to_string()))?;
        }
        if shared.store().is_some() {
            if shared.sharing.is_some() {
                sharing::start(&shared).map_err(|error| RunError::Thread(error.to_string()))?;
                tokio::spawn(mending::run(Arc::clone(&shared), Arc::downgrade(&runtime.guard)));
            } else {
                // Before anything new is told.
                mending::all(&shared).await;
                launch::bring_unfinished(&shared).await?;
            }
            tokio::spawn(requests::run(Arc::clone(&shared)));
            tokio::spawn(hints::run(Arc::clone(&shared)));
        }
        tokio::spawn(timers::run(Arc::clone(&shared)));
        Ok(runtime)
    }
}

/// What joins streams with what was given to carry them, or with what the store brings along.
fn hub(
    given: Option<Arc<dyn Transport>>,
    store: Option<&dyn Store>,
    registry: &Registry,
    sharing: Option<&Sharing>,
) -> Result<Arc<Hub>, RunError> {
    let is_durable = store.is_some_and(Store::is_durable);
    let transport = match (given, registry.streaming()) {
        (None, Some(process)) if is_durable => match store.map_or(Ok(None), Store::channels)? {
            // One that takes nothing from others only files what they run.
            None if sharing.is_none_or(|sharing| !sharing.is_idle()) => return Err(RunError::NoChannels { process }),
            brought => brought,
        },
        (given, _) => given,
    };
    Ok(Hub::new(transport.unwrap_or_else(|| Arc::new(LocalTransport::new())), is_durable))
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeBuilder").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl IntoFuture for RuntimeBuilder {
    type Output = Result<Runtime, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.build())
    }
}
