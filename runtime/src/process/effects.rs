//! What a step did beside its context: it takes effect at the boundary, or not at all.

use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tokio::sync::oneshot;

use super::{BoxError, BoxFuture, ProcessId, Slot, Told};
use crate::clock::Timestamp;
use crate::listener::Change;
use crate::registry::ProcessType;
use crate::spec::PreparedInputs;
use crate::store::StoreError;
use crate::stream::Wanted;

/// A child that a step launches.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: ProcessId,
    pub(crate) process: Arc<dyn ProcessType>,
    pub(crate) inputs: PreparedInputs,
    pub(crate) awaited: bool,
    pub(crate) allow_failure: bool,
    pub(crate) follows: bool,
    pub(crate) slot: Arc<Slot>,
}

/// What is not `Sync`, in something that is: [`Cx`](super::Cx) is shared with what steps call.
pub(crate) struct Exclusive<T>(Mutex<T>);

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Exclusive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exclusive")
    }
}

/// A future that runs beside the steps, from the boundary on.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) future: Exclusive<BoxFuture<'static, Result<(), BoxError>>>,
    pub(crate) cancelled: oneshot::Receiver<()>,
}

/// What runs when the process ends.
pub(crate) type Cleanup = Exclusive<Box<dyn FnOnce() + Send>>;

/// Collected while a step runs; dropped with a step that was cut off, failed or panicked.
///
/// Most steps have none, and a process at rest has none: there is room for them only once there are some.
#[derive(Debug, Default)]
pub(crate) struct Effects(Option<Box<Collected>>);

#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) launched: Vec<Launched>,
    pub(crate) emitted: Vec<(String, Value)>,
    pub(crate) reports: Vec<String>,
    pub(crate) wake_at: Option<Timestamp>,
    pub(crate) status: Option<Option<String>>,
    /// How far it is, which is seen elsewhere as long as this is here.
    pub(crate) progress: Option<Arc<Told>>,
    pub(crate) listeners: Vec<Change>,
    pub(crate) calls: Vec<Call>,
    /// Items for streams, with their ports, and the bytes of all of them.
    pub(crate) sent: Vec<(&'static str, Box<RawValue>)>,
    pub(crate) sent_bytes: usize,
    /// Streams that are closed after that.
    pub(crate) closed: Vec<&'static str>,
    /// Streams that something is waited for at.
    pub(crate) wanted: Vec<Wanted>,
    /// The one kind that also a step that was cut off leaves: what it holds is to be freed all the same.
    pub(crate) cleanups: Vec<Cleanup>,
    /// The store failed in the midst of the step: the process did not, and goes on when the store works again.
    pub(crate) lost: Option<StoreError>,
}

impl Effects {
    /// What there is to take effect, if there is anything.
    pub(crate) fn collected(&mut self) -> Option<&mut Collected> {
        self.0.as_deref_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Deref for Effects {
    type Target = Collected;

    fn deref(&self) -> &Collected {
        static NONE: LazyLock<Collected> = LazyLock::new(Collected::default);
        self.0.as_deref().unwrap_or_else(|| &NONE)
    }
}

impl DerefMut for Effects {
    fn deref_mut(&mut self) -> &mut Collected {
        self.0.get_or_insert_default()
    }
}
