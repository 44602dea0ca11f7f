//! The interpreter: one per OS process, one cluster, and a thread for each transport that holds the GIL.

use std::ffi::CString;
use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use procession_transport::{TransportError, TransportResult};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use tokio::sync::{mpsc, oneshot};

use crate::limits;

/// The code of the actor and of what calls it.
const CODE: &str = include_str!("topic.py");

/// What Ray or Python said.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(pub(crate) String);

impl Said {
    pub(crate) fn shared(text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self(text.into()))
    }
}

fn said(error: &PyErr) -> Said {
    Said(error.to_string())
}

pub(crate) fn lost(text: impl Into<String>) -> TransportError {
    TransportError::Disconnected(Some(Said::shared(text)))
}

/// The cluster that this OS process has joined: Ray knows one at a time.
struct Joined {
    /// As it was asked for.
    address: String,
    /// As Ray names it.
    cluster: String,
}

static JOINED: Mutex<Option<Joined>> = Mutex::new(None);

/// The module with the code. Loaded once: what the exit calls is in it.
static MODULE: OnceLock<Arc<Py<PyModule>>> = OnceLock::new();

/// An actor.
pub(crate) type Actor = Arc<Py<PyAny>>;

type Job = Box<dyn for<'py> FnOnce(&Bound<'py, PyModule>) + Send>;

/// Calls Python, on a thread of its own.
#[derive(Clone)]
pub(crate) struct Caller(mpsc::Sender<Job>);

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// Runs `work` on a thread of its own, where it may hold the GIL and wait; it is not waited for after `limit`.
async fn apart<T: Send + 'static>(
    action: &'static str,
    limit: Duration,
    work: impl FnOnce() -> TransportResult<T> + Send + 'static,
) -> TransportResult<T> {
    let (done, outcome) = oneshot::channel();
    let work = move || drop(done.send(work()));
    std::thread::Builder::new()
        .name("ray".to_owned())
        .spawn(work)
        .map_err(|error| TransportError::failed(action, error))?;
    match tokio::time::timeout(limit, outcome).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(TransportError::failed(action, Said("its thread is gone".to_owned()))),
        Err(_) => Err(TransportError::failed(action, Said(format!("it took more than {} s", limit.as_secs())))),
    }
}

impl Caller {
    /// Joins the cluster, where this OS process has not joined it yet.
    pub(crate) async fn connect(address: &str) -> TransportResult<Self> {
        let address = address.to_owned();
        let module = apart("joining the cluster of Ray", limits::CONNECT, move || join(&address)).await?;
        let (sender, mut jobs) = mpsc::channel::<Job>(limits::CALLS);
        let work = move || {
            while let Some(job) = jobs.blocking_recv() {
                Python::attach(|py| job(module.bind(py)));
            }
        };
        std::thread::Builder::new()
            .name("ray-calls".to_owned())
            .spawn(work)
            .map_err(|error| TransportError::failed("starting a thread for Ray", error))?;
        Ok(Self(sender))
    }

    /// Runs something in Python that gives its result at once.
    async fn run<T: Send + 'static>(
        &self,
        job: impl for<'py> FnOnce(&Bound<'py, PyModule>) -> PyResult<T> + Send + 'static,
    ) -> TransportResult<T> {
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move |module| drop(done.send(job(module).map_err(|error| said(&error)))));
        let sent = tokio::time::timeout(limits::ANSWER, self.0.send(job)).await;
        sent.map_err(|_| lost("Python does not answer"))?.map_err(|_| lost("the thread for Ray is gone"))?;
        let outcome = tokio::time::timeout(limits::ANSWER, outcome).await;
        let outcome = outcome.map_err(|_| lost("Ray does not answer"))?;
        let outcome = outcome.map_err(|_| lost("the thread for Ray is gone"))?;
        outcome.map_err(|said| TransportError::failed("a call to Ray", said))
    }

    /// The actor of a topic, which is made where there is none.
    pub(crate) async fn open(
        &self,
        namespace: Arc<str>,
        name: String,
        capacity: usize,
        lasting: bool,
    ) -> TransportResult<Actor> {
        self.run(move |module| {
            let arguments = (&*namespace, name, capacity, lasting, limits::ACTOR_CALLS);
            Ok(Arc::new(module.call_method1("open_topic", arguments)?.unbind()))
        })
        .await
    }

    /// Ends an actor.
    pub(crate) async fn kill(&self, actor: &Actor) -> TransportResult<()> {
        let actor = Arc::clone(actor);
        self.run(move |module| module.call_method1("kill", (&*actor,)).map(drop)).await
    }

    /// Calls a method of an actor that may wait as long as `waits`. When it is cancelled, the call goes on.
    pub(crate) async fn call<A, T>(
        &self,
        actor: &Actor,
        method: &'static str,
        arguments: A,
        waits: Duration,
    ) -> TransportResult<T>
    where
        A: for<'py> IntoPyObject<'py, Target = PyTuple, Error = PyErr> + Send + 'static,
        T: for<'a, 'py> FromPyObject<'a, 'py> + Send + 'static,
    {
        let actor = Arc::clone(actor);
        let (done, outcome) = oneshot::channel();
        self.run(move |module| {
            let done = Mutex::new(Some(done));
            let finish = move |came: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
                let done = done.lock().unwrap_or_else(PoisonError::into_inner).take();
                // Nobody may wait for it any more.
                done.is_some_and(|done| done.send(answered(came)).is_ok())
            };
            let py = module.py();
            let finish = PyCFunction::new_closure(py, None, None, finish)?;
            module.call_method1("call", (&*actor, method, arguments, finish)).map(drop)
        })
        .await?;
        let outcome = tokio::time::timeout(waits + limits::ANSWER, outcome).await;
        outcome.map_err(|_| lost("the actor does not answer"))?.map_err(|_| lost("Ray gave up"))?
    }
}

/// What the actor answered: what kind of fault there is, its text, the result.
fn answered<T: for<'a, 'py> FromPyObject<'a, 'py>>(came: &Bound<'_, PyTuple>) -> TransportResult<T> {
    let failed = |text: String| TransportError::failed("a call to the actor", Said(text));
    let (fault, text, result): (String, String, Bound<'_, PyAny>) =
        came.extract().map_err(|error: PyErr| failed(error.to_string()))?;
    match fault.as_str() {
        "" => result.extract().map_err(|error| failed(Into::<PyErr>::into(error).to_string())),
        "lost" => Err(lost(text)),
        _ => Err(failed(text)),
    }
}

/// Joins a cluster; never starts one.
fn join(address: &str) -> TransportResult<Arc<Py<PyModule>>> {
    const ACTION: &str = "joining the cluster of Ray";
    reachable(address)?;
    let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody else loads it meanwhile.
    let module = if let Some(module) = MODULE.get() {
        module
    } else {
        let failed = |error| TransportError::failed("loading the Python of the transport", said(&error));
        let loaded = Arc::new(load().map_err(failed)?);
        MODULE.get_or_init(|| loaded)
    };
    if let Some(joined) = &*joined {
        if [joined.address.as_str(), joined.cluster.as_str(), "auto"].contains(&address) {
            return Ok(Arc::clone(module));
        }
        let reason = format!("this OS process has joined the one at {}", joined.cluster);
        return Err(TransportError::Refused { what: "a second cluster", reason });
    }
    let cluster: String = Python::attach(|py| module.bind(py).call_method1("connect", (address,))?.extract())
        .map_err(|error: PyErr| TransportError::failed(ACTION, said(&error)))?;
    *joined = Some(Joined { address: address.to_owned(), cluster });
    Ok(Arc::clone(module))
}

/// Whether there is anybody: Ray itself tries for minutes.
fn reachable(address: &str) -> TransportResult<()> {
    const ACTION: &str = "reaching the cluster of Ray";
    if address == "auto" {
        return Ok(());
    }
    let addresses = address.to_socket_addrs().map_err(|error| TransportError::failed(ACTION, error))?;
    let mut failed = TransportError::failed(ACTION, Said("its name has no address".to_owned()));
    for address in addresses {
        match TcpStream::connect_timeout(&address, limits::REACH) {
            Ok(_) => return Ok(()),
            Err(error) => failed = TransportError::failed(ACTION, error),
        }
    }
    Err(failed)
}

/// Compiles the code. On a thread that ends: what first has the interpreter has its signals, and Ray would set them.
fn load() -> PyResult<Py<PyModule>> {
    let compile = || {
        Python::attach(|py| {
            let code = CString::new(CODE)?;
            PyModule::from_code(py, &code, c"topic.py", c"procession_ray").map(Bound::unbind)
        })
    };
    let gone = |_| pyo3::exceptions::PyRuntimeError::new_err("its thread panicked");
    std::thread::spawn(compile).join().unwrap_or_else(|panic| Err(gone(panic)))
}

/// Leaves the cluster, as [`disconnect`](crate::disconnect) says.
pub(crate) async fn leave() -> TransportResult<()> {
    apart("leaving the cluster of Ray", limits::CONNECT, || {
        let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(module) = MODULE.get().filter(|_| joined.is_some()) else { return Ok(()) };
        Python::attach(|py| module.bind(py).call_method0("disconnect").map(drop))
            .map_err(|error| TransportError::failed("leaving the cluster of Ray", said(&error)))
    })
    .await
}
