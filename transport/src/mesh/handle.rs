//! What programs hold of a mesh.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::core::{Asked, Core, lock};
use super::protocol::{self, STOP, read, write};
use super::{MeshError, MeshEvents, MeshResult, Methods, Uid};
use crate::limits;

/// A runtime among others. Clones are the same one; with the last of them it is stopped, without saying so to others.
#[derive(Clone)]
pub struct Mesh {
    core: Arc<Core>,
    _running: Arc<Running>,
}

/// Stops it when the last clone goes: its tasks share the rest.
struct Running(Arc<Core>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (calls, peers) = self.core.counts();
        let mut debug = f.debug_struct("Mesh");
        debug.field("uid", &self.core.who.uid).field("peers", &peers).field("calls", &calls).finish_non_exhaustive()
    }
}

impl Mesh {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { _running: Arc::new(Running(Arc::clone(&core))), core }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What it is called.
    pub fn uid(&self) -> &Uid {
        &self.core.who.uid
    }

    /// Where others reach it: what they [join](super::MeshBuilder::join) where it is the registry.
    pub fn address(&self) -> &str {
        &self.core.who.address
    }

    /// A runtime to talk to, known or not.
    pub fn peer(&self, uid: impl Into<String>) -> Peer {
        Peer { mesh: self.clone(), uid: uid.into(), object: None, deadline: self.core.options.deadline }
    }

    /// Sends something that nobody answers: it returns when it is on its way. To itself it goes without the transport (M12).
    ///
    /// # Errors
    ///
    /// [`UnknownPeer`](MeshError::UnknownPeer), [`NotConnected`](MeshError::NotConnected), [`Stopped`](MeshError::Stopped) (M13 cured),
    /// [`Transport`](MeshError::Transport), [`Json`](MeshError::Json).
    pub async fn send<A: Serialize + ?Sized>(&self, uid: &str, method: &str, arguments: &A) -> MeshResult<()> {
        let asked = Asked { object: None, method };
        self.core.send(uid, asked, write("arguments", arguments)?).await
    }

    /// Calls a method, and waits for its result (M14).
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send); those of the other side: [`UnknownMethod`](MeshError::UnknownMethod),
    /// [`Arguments`](MeshError::Arguments), [`Failed`](MeshError::Failed), [`Busy`](MeshError::Busy); and [`Lost`](MeshError::Lost) or
    /// [`Deadline`](MeshError::Deadline) where it does not come (M18 cured).
    pub async fn call<A, R>(&self, uid: &str, method: &str, arguments: &A) -> MeshResult<R>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let asked = Asked { object: None, method };
        self.ask(uid, asked, arguments, self.core.options.deadline).await
    }

    /// Calls a method of an object of a runtime (M14).
    ///
    /// # Errors
    ///
    /// As of [`call`](Self::call), and [`UnknownObject`](MeshError::UnknownObject).
    pub async fn call_object<A, R>(&self, uid: &str, object: (&str, &str), method: &str, arguments: &A) -> MeshResult<R>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let asked = Asked { object: Some(object), method };
        self.ask(uid, asked, arguments, self.core.options.deadline).await
    }

    /// Sends something to an object of a runtime that nobody answers (M14).
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send).
    pub async fn cmd<A: Serialize + ?Sized>(
        &self,
        uid: &str,
        object: (&str, &str),
        method: &str,
        arguments: &A,
    ) -> MeshResult<()> {
        let asked = Asked { object: Some(object), method };
        self.core.send(uid, asked, write("arguments", arguments)?).await
    }

    async fn ask<A, R>(&self, uid: &str, asked: Asked<'_>, arguments: &A, deadline: Duration) -> MeshResult<R>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let result = self.core.call(uid, asked, write("arguments", arguments)?, deadline).await?;
        read("a result", &result)
    }

    /// Lets others call the methods of an object, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`MethodName`](MeshError::MethodName); [`Refused`](MeshError::Refused) where there is such an object, or there are
    /// [too many](limits::MESH_OBJECTS).
    pub fn register(&self, kind: impl Into<String>, id: impl Into<String>, methods: Methods) -> MeshResult<Object> {
        methods.check()?;
        let (kind, id) = (kind.into(), id.into());
        let mut objects = self.core.objects.write().unwrap_or_else(PoisonError::into_inner);
        let refused = |reason| MeshError::Refused { what: "an object", reason };
        if kind.len().max(id.len()) > limits::NAME_BYTES {
            return Err(refused(format!("its name has more than {} bytes", limits::NAME_BYTES)));
        }
        if objects.get(&kind).is_some_and(|objects| objects.contains_key(&id)) {
            return Err(refused(format!("there is a {kind} `{id}`")));
        }
        if objects.values().map(std::collections::BTreeMap::len).sum::<usize>() >= limits::MESH_OBJECTS {
            return Err(refused(format!("there are {} already", limits::MESH_OBJECTS)));
        }
        objects.entry(kind.clone()).or_default().insert(id.clone(), methods);
        drop(objects);
        Ok(Object { core: Arc::clone(&self.core), kind, id })
    }

    /// What happens to peers from now on.
    pub fn events(&self) -> MeshEvents {
        MeshEvents(self.core.events.subscribe())
    }

    /// The runtimes that are there, without this one.
    pub fn peers(&self) -> Vec<Uid> {
        let mut peers: Vec<_> = lock(&self.core.table).all().iter().map(|known| known.who.uid.clone()).collect();
        peers.sort();
        peers
    }

    /// Whether a runtime was ever heard of, also after it was lost; itself, too (M30).
    pub fn is_connected(&self, uid: &str) -> bool {
        uid == self.uid().as_str() || lock(&self.core.table).get(uid).is_some()
    }

    /// Whether it has shaken hands with a runtime that is there; never with itself (M30).
    pub fn is_shaken(&self, uid: &str) -> bool {
        lock(&self.core.table).get(uid).is_some_and(|known| known.is_shaken())
    }

    /// Where a runtime is reached, or was.
    ///
    /// # Errors
    ///
    /// [`UnknownPeer`](MeshError::UnknownPeer).
    pub fn address_of(&self, uid: &str) -> MeshResult<String> {
        if uid == self.uid().as_str() {
            return Ok(self.address().to_owned());
        }
        let table = lock(&self.core.table);
        match table.get(uid) {
            Some(known) => Ok((*known.who.address).to_owned()),
            None => table.live(uid).map(|known| (*known.who.address).to_owned()),
        }
    }

    /// Waits until a runtime can be called: it is shaken, or this one (M31, with a bound).
    ///
    /// # Errors
    ///
    /// [`Deadline`](MeshError::Deadline), [`Stopped`](MeshError::Stopped).
    pub async fn wait_for(&self, uid: &str, within: Duration) -> MeshResult<()> {
        let mut changed = self.core.changed.subscribe();
        let there = async {
            while uid != self.uid().as_str() && !self.is_shaken(uid) {
                self.core.running()?;
                if changed.changed().await.is_err() {
                    return Err(MeshError::Stopped);
                }
            }
            self.core.running()
        };
        let late = |_| MeshError::Deadline { what: format!("waiting for `{uid}`"), deadline: within };
        timeout(within, there).await.map_err(late)?
    }

    /// Joins a registry, and from then on again whenever it is lost: after [`start`](super::MeshBuilder::start), or another than before.
    ///
    /// # Errors
    ///
    /// As of [`MeshBuilder::join`](super::MeshBuilder::join).
    pub async fn join(&self, registry: &str, within: Duration) -> MeshResult<()> {
        self.core.running()?;
        self.core.join(registry, within).await?;
        if self.core.is_first_join() {
            self.core.spawn(Arc::clone(&self.core).keep_joined());
        }
        Ok(())
    }

    /// Gives a peer up: its calls fail. With `notify` all others do, too, as the registry tells them; where this is the registry they do in
    /// any case. A node takes its workers with it (M32).
    ///
    /// # Errors
    ///
    /// [`UnknownPeer`](MeshError::UnknownPeer), [`NotConnected`](MeshError::NotConnected), [`Stopped`](MeshError::Stopped);
    /// [`Transport`](MeshError::Transport) where the registry was not reached.
    pub async fn disconnect(&self, uid: &str, notify: bool) -> MeshResult<()> {
        self.core.disconnect(uid, notify).await
    }

    /// Asks a peer to stop. It does where this is its registry.
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send).
    pub async fn stop_peer(&self, uid: &str) -> MeshResult<()> {
        self.core.running()?;
        let address = lock(&self.core.table).live(uid)?.who.address.clone();
        self.core.post(&address, protocol::notice(STOP, &self.core.who.address, Bytes::new())).await
    }

    /// Tells all peers that it goes, and stops: handlers are dropped, calls fail, whatever is asked later is an error (M13 cured, M33).
    /// A second time it does nothing. The transport stays open.
    pub async fn stop(&self) {
        self.core.leave().await;
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.core.is_stopped()
    }

    /// Returns when it is stopped: by this program, or by the registry.
    pub async fn stopped(&self) {
        let mut changed = self.core.changed.subscribe();
        while !self.is_stopped() && changed.changed().await.is_ok() {}
    }

    /// So many calls wait for their answers.
    pub fn pending(&self) -> usize {
        self.core.counts().0
    }

    /// So much was not done that others have called or sent: for want of a method, an object or room.
    pub fn refused(&self) -> u64 {
        self.core.refused()
    }
}

/// An object that others can call, until this is dropped.
#[must_use = "an object that is dropped cannot be called"]
pub struct Object {
    core: Arc<Core>,
    kind: String,
    id: String,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let mut objects = self.core.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_kind) = objects.get_mut(&self.kind) {
            of_kind.remove(&self.id);
            if of_kind.is_empty() {
                objects.remove(&self.kind);
            }
        }
    }
}

/// A runtime to talk to, or an object of one, with a deadline of its own.
#[derive(Debug, Clone)]
pub struct Peer {
    mesh: Mesh,
    uid: String,
    object: Option<(String, String)>,
    deadline: Duration,
}

impl Peer {
    /// What it is called.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Calls wait so long.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// An object of it.
    #[must_use]
    pub fn object(self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self { object: Some((kind.into(), id.into())), ..self }
    }

    fn asked<'a>(&'a self, method: &'a str) -> Asked<'a> {
        Asked { object: self.object.as_ref().map(|(kind, id)| (&**kind, &**id)), method }
    }

    /// As [`Mesh::call`] and [`Mesh::call_object`].
    ///
    /// # Errors
    ///
    /// As of these.
    pub async fn call<A, R>(&self, method: &str, arguments: &A) -> MeshResult<R>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.mesh.ask(&self.uid, self.asked(method), arguments, self.deadline).await
    }

    /// As [`Mesh::send`] and [`Mesh::cmd`].
    ///
    /// # Errors
    ///
    /// As of these.
    pub async fn send<A: Serialize + ?Sized>(&self, method: &str, arguments: &A) -> MeshResult<()> {
        self.mesh.core.send(&self.uid, self.asked(method), write("arguments", arguments)?).await
    }
}
