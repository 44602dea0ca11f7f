//! What a step did beside its context: it takes effect at the boundary, or not at all.

use serde_json::{Map, Value};
use std::sync::Arc;

use super::{ProcessId, Slot};
use crate::clock::Timestamp;
use crate::registry::ProcessType;
use crate::store::StoreError;

/// A child that a step launches.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: ProcessId,
    pub(crate) process: Arc<dyn ProcessType>,
    pub(crate) inputs: Map<String, Value>,
    pub(crate) awaited: bool,
    pub(crate) allow_failure: bool,
    pub(crate) follows: bool,
    pub(crate) slot: Arc<Slot>,
}

/// Collected while a step runs; dropped with a step that was cut off, failed or panicked.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) launched: Vec<Launched>,
    pub(crate) emitted: Vec<(String, Value)>,
    pub(crate) reports: Vec<String>,
    pub(crate) wake_at: Option<Timestamp>,
    pub(crate) status: Option<Option<String>>,
    /// The store failed in the midst of the step: the process did not, and goes on when the store works again.
    pub(crate) lost: Option<StoreError>,
}

impl Effects {
    pub(crate) fn is_empty(&self) -> bool {
        self.launched.is_empty()
            && self.emitted.is_empty()
            && self.reports.is_empty()
            && self.wake_at.is_none()
            && self.status.is_none()
    }
}
