//! The mesh for programs without an asynchronous runtime (M15 cured: it waits for what is asked, and says so where it cannot).

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::{MeshBuilder, MeshError, MeshResult, Methods, Object, Uid};
use crate::TransportError;

/// A runtime for asynchronous work, on a thread of its own: transports and meshes are made with [`run`](Self::run).
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Not from within itself, where it would wait for itself.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`Transport`](MeshError::Transport) where the system gives none.
    pub fn start() -> MeshResult<Self> {
        let failed = |source| {
            let source = TransportError::failed("starting a thread", source);
            MeshError::Transport { to: "the engine".to_owned(), source }
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // Its sender is dropped, not used.
            let _ = runtime.block_on(stopped);
        };
        let thread = std::thread::Builder::new().name("mesh".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self(Arc::new(Inner { handle, stop: Some(stop), thread: Some(thread) })))
    }

    /// Waits for something.
    ///
    /// # Errors
    ///
    /// [`Blocking`](MeshError::Blocking) where this thread runs asynchronous code, which would stand still.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> MeshResult<T> {
        if Handle::try_current().is_ok() {
            return Err(MeshError::Blocking);
        }
        Ok(self.0.handle.block_on(work))
    }
}

/// As [`Mesh`](super::Mesh), and each call waits.
#[derive(Debug, Clone)]
pub struct Mesh {
    // Stopped before the thread that it runs on.
    mesh: super::Mesh,
    engine: Engine,
}

impl Mesh {
    /// As [`MeshBuilder::start`].
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn start(engine: &Engine, builder: MeshBuilder) -> MeshResult<Self> {
        Ok(Self { mesh: engine.run(builder.start())??, engine: engine.clone() })
    }

    /// As [`MeshBuilder::join`].
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn join(engine: &Engine, builder: MeshBuilder, registry: &str) -> MeshResult<Self> {
        Ok(Self { mesh: engine.run(builder.join(registry))??, engine: engine.clone() })
    }

    /// The same runtime, for asynchronous code.
    pub fn mesh(&self) -> &super::Mesh {
        &self.mesh
    }

    /// As [`Mesh::uid`](super::Mesh::uid).
    pub fn uid(&self) -> &Uid {
        self.mesh.uid()
    }

    /// As [`Mesh::address`](super::Mesh::address).
    pub fn address(&self) -> &str {
        self.mesh.address()
    }

    /// As [`Mesh::register`](super::Mesh::register).
    ///
    /// # Errors
    ///
    /// As of that.
    pub fn register(&self, kind: impl Into<String>, id: impl Into<String>, methods: Methods) -> MeshResult<Object> {
        self.mesh.register(kind, id, methods)
    }

    /// As [`Mesh::send`](super::Mesh::send).
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn send<A: Serialize + ?Sized>(&self, uid: &str, method: &str, arguments: &A) -> MeshResult<()> {
        self.engine.run(self.mesh.send(uid, method, arguments))?
    }

    /// As [`Mesh::call`](super::Mesh::call).
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn call<A, R>(&self, uid: &str, method: &str, arguments: &A) -> MeshResult<R>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.engine.run(self.mesh.call(uid, method, arguments))?
    }

    /// As [`Mesh::call_object`](super::Mesh::call_object).
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn call_object<A, R>(&self, uid: &str, object: (&str, &str), method: &str, arguments: &A) -> MeshResult<R>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.engine.run(self.mesh.call_object(uid, object, method, arguments))?
    }

    /// As [`Mesh::cmd`](super::Mesh::cmd).
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn cmd<A: Serialize + ?Sized>(
        &self,
        uid: &str,
        object: (&str, &str),
        method: &str,
        arguments: &A,
    ) -> MeshResult<()> {
        self.engine.run(self.mesh.cmd(uid, object, method, arguments))?
    }

    /// As [`Mesh::wait_for`](super::Mesh::wait_for).
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn wait_for(&self, uid: &str, within: Duration) -> MeshResult<()> {
        self.engine.run(self.mesh.wait_for(uid, within))?
    }

    /// As [`Mesh::disconnect`](super::Mesh::disconnect).
    ///
    /// # Errors
    ///
    /// As of that; [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn disconnect(&self, uid: &str, notify: bool) -> MeshResult<()> {
        self.engine.run(self.mesh.disconnect(uid, notify))?
    }

    /// As [`Mesh::stop`](super::Mesh::stop).
    ///
    /// # Errors
    ///
    /// [`Blocking`](MeshError::Blocking) within asynchronous code.
    pub fn stop(&self) -> MeshResult<()> {
        self.engine.run(self.mesh.stop())
    }
}
