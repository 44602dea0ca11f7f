//! Handles of sub-processes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

use super::{BoxError, Outcome, Process, ProcessId, Termination};
use crate::runner::RunError;
use crate::spec::ProcessSpec;

/// A sub-process of type `P`, as a field of its parent.
///
/// The id is saved with the field; the result is there once the child has ended, also after the parent was restored.
/// `Child::default()` is no child.
pub struct Child<P> {
    slot: Option<Arc<Slot>>,
    process: PhantomData<fn() -> P>,
}

/// Why a child has no result to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// The handle is a default one: nothing was launched.
    #[error("no child was launched")]
    Absent,
    /// The child has not ended. One that `cx.launch` gave has, once the next step runs.
    #[error("child {0} has not ended")]
    Running(ProcessId),
    /// The child's result cannot be had: it was parked, or the store failed.
    #[error("child {0} has no result")]
    Lost(ProcessId, #[source] RunError),
    /// The child's outputs do not fit its type any more.
    #[error("outputs of child {0} cannot be read")]
    Outputs(ProcessId, #[source] crate::spec::SpecError),
    /// The child did not finish normally, so it has no complete outputs.
    #[error("child {0} {1}")]
    Unsuccessful(ProcessId, String),
}

/// Where the end of a process appears, for all who wait for it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) pid: ProcessId,
    end: OnceLock<Box<Result<Termination, RunError>>>,
    ended: Notify,
}

impl Slot {
    pub(crate) fn new(pid: ProcessId) -> Arc<Self> {
        Arc::new(Self { pid, end: OnceLock::new(), ended: Notify::new() })
    }

    /// The first end counts.
    pub(crate) fn fill(&self, end: Result<Termination, RunError>) {
        let _ = self.end.set(Box::new(end));
        self.ended.notify_waiters();
    }

    pub(crate) fn get(&self) -> Option<&Result<Termination, RunError>> {
        self.end.get().map(AsRef::as_ref)
    }

    pub(crate) async fn wait(&self) -> &Result<Termination, RunError> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(end) = self.get() {
                return end;
            }
            ended.await;
        }
    }
}

impl<P> Child<P> {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self { slot: Some(slot), process: PhantomData }
    }

    /// The id of the child; none if nothing was launched.
    pub fn pid(&self) -> Option<&ProcessId> {
        self.slot.as_ref().map(|slot| &slot.pid)
    }

    /// Whether the child has ended.
    pub fn has_ended(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.get().is_some())
    }

    /// How the child ended, as it is stored.
    ///
    /// # Errors
    /// There is no child, it has not ended, or its result was lost.
    pub fn termination(&self) -> Result<&Termination, ChildError> {
        let slot = self.slot.as_ref().ok_or(ChildError::Absent)?;
        match slot.get() {
            None => Err(ChildError::Running(slot.pid.clone())),
            Some(Ok(termination)) => Ok(termination),
            Some(Err(error)) => Err(ChildError::Lost(slot.pid.clone(), error.clone())),
        }
    }
}

impl<P: Process> Child<P> {
    /// How the child ended.
    ///
    /// # Errors
    /// There is no child, it has not ended, or its result was lost.
    pub fn outcome(&self) -> Result<Outcome<P>, ChildError> {
        let termination = self.termination()?;
        let pid = || self.pid().cloned().unwrap_or_default();
        Outcome::from_termination(termination).map_err(|error| ChildError::Outputs(pid(), error))
    }

    /// The outputs of a child that go into a namespace of its parent.
    pub(crate) fn forwarded(&self, parent: &ProcessSpec, namespace: &str) -> Result<Map<String, Value>, BoxError> {
        let Termination { ended, outputs, .. } = self.termination()?;
        Ok(parent.forwarded::<P>(namespace, outputs, ended)?)
    }

    /// The outputs of a child that finished normally.
    ///
    /// # Errors
    /// As [`outcome`](Self::outcome), and the child ended in another way.
    pub fn outputs(&self) -> Result<P::Outputs, ChildError> {
        let termination = self.termination()?;
        match self.outcome()? {
            Outcome::Finished(outputs) => Ok(outputs),
            _ => Err(ChildError::Unsuccessful(self.pid().cloned().unwrap_or_default(), termination.ended.to_string())),
        }
    }

    /// The exit code of a child that ended with one of its own.
    pub fn exit(&self) -> Option<P::Exit> {
        match self.outcome() {
            Ok(Outcome::Exited(exited)) => exited.exit(),
            _ => None,
        }
    }

    /// Whether the child finished normally.
    pub fn is_finished(&self) -> bool {
        self.termination().is_ok_and(|termination| termination.ended.is_successful())
    }
}

impl<P> Default for Child<P> {
    fn default() -> Self {
        Self { slot: None, process: PhantomData }
    }
}

impl<P> Clone for Child<P> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone(), process: PhantomData }
    }
}

impl<P> fmt::Debug for Child<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(&self.pid()).finish()
    }
}

impl<P> Serialize for Child<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(slot) = &self.slot {
            collect(slot);
        }
        self.pid().serialize(serializer)
    }
}

impl<'de, P> Deserialize<'de> for Child<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let slot = Option::<ProcessId>::deserialize(deserializer)?.map(known_or_new);
        if let Some(slot) = &slot {
            collect(slot);
        }
        Ok(Self { slot, process: PhantomData })
    }
}

thread_local! {
    static COLLECTED: RefCell<Option<Collected>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Collected {
    slots: Vec<Arc<Slot>>,
    known: Vec<Arc<Slot>>,
}

fn collect(slot: &Arc<Slot>) {
    COLLECTED.with_borrow_mut(|collected| collected.as_mut().map(|collected| collected.slots.push(Arc::clone(slot))));
}

fn known_or_new(pid: ProcessId) -> Arc<Slot> {
    let known = COLLECTED.with_borrow(|collected| {
        let mut known = collected.iter().flat_map(|collected| &collected.known);
        known.find(|slot| slot.pid == pid).cloned()
    });
    known.unwrap_or_else(|| Slot::new(pid))
}

/// Receives the slot of every [`Child`] that is written or read while it lives, wherever it stands.
pub(crate) struct SlotCollector(());

impl SlotCollector {
    pub(crate) fn start() -> Self {
        Self::knowing(Vec::new())
    }

    /// Handles that are read get the slot of their child, where it is among these.
    pub(crate) fn knowing(known: Vec<Arc<Slot>>) -> Self {
        COLLECTED.set(Some(Collected { slots: Vec::new(), known }));
        Self(())
    }

    pub(crate) fn finish(self) -> Vec<Arc<Slot>> {
        COLLECTED.take().map(|collected| collected.slots).unwrap_or_default()
    }
}

impl Drop for SlotCollector {
    fn drop(&mut self) {
        COLLECTED.set(None);
    }
}
