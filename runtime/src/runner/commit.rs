//! Writes a step boundary: one commit, and what leaves after it.

use std::sync::Arc;

use uuid::Uuid;

use super::RunError;
use super::boundary::{Child, Parts};
use super::caught::caught;
use super::drive::{Driver, Stop};
use super::entry::{Entry, Resident};
use super::hooks::excepting;
use super::instance::Live;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::listener::text_of;
use crate::process::{Ended, ErrorInfo, ProcessId, ProcessState, Transition};
use crate::spec::PreparedInputs;
use crate::store::{Commit, Message, NewProcess, Parent, Placement};

impl Driver<'_> {
    /// Writes one boundary; what it announces, and the children it creates, leave after it.
    pub(super) async fn commit(&mut self, to: ProcessState, mut parts: Parts) -> Result<(), Stop> {
        let from = self.resident.committed;
        let at = self.shared.env.clock.now();
        let stores_streams = parts.position || parts.ended.is_some();
        if parts.position {
            self.resident.forget_sent();
        }
        // Until they are in the table, nobody may bring the children that the store has from now on.
        let adopting = if parts.children.is_empty() { None } else { Some(self.shared.adoption.read().await) };
        let mut stored = Stored::default();
        if let Some(store) = self.shared.store() {
            let committing = match self.build_commit(from, to, &mut parts, at) {
                Ok(commit) => {
                    stored = Stored::of(&commit);
                    store.commit(commit)
                }
                Err(error) if to == ProcessState::Excepted => return Err(unwritable(self.entry, &error).into()),
                Err(error) => {
                    // The step's results cannot be written: it failed.
                    drop(adopting);
                    self.take_back();
                    self.resident.waiting = None;
                    self.resident.machine = crate::process::Machine::new(ProcessState::Excepted, false);
                    let ended = Ended::Excepted { error: error.in_step(self.resident.live.at()) };
                    excepting(&mut self.resident, self.entry.pid(), &ended);
                    let parts = Parts { ended: Some(ended.clone()), waiting: true, told: true, ..Parts::default() };
                    Box::pin(self.commit(ended.state(), parts)).await?;
                    return Box::pin(self.end(ended)).await;
                }
            };
            committing.await.map_err(RunError::from)?;
            if let Some(sharing) = &self.shared.sharing {
                sharing.bounded(self.entry.pid());
            }
        }
        self.resident.committed = to;
        if stores_streams {
            self.resident.acknowledge();
        }
        self.applied.clear();
        self.publish();
        let mut effects = std::mem::take(&mut self.resident.live.core_mut().effects);
        self.adopt(parts.children, at, &stored.children);
        drop(adopting);
        if let Some(effects) = effects.collected() {
            self.begin_beside(effects, parts.step && parts.ended.is_none());
        }
        if parts.step {
            self.announce_step(&effects.emitted, &effects.reports);
        }
        if parts.told {
            self.announce(from, to, stored.own, parts.ended.as_ref());
        }
        Ok(())
    }

    fn build_commit(
        &mut self,
        from: ProcessState,
        to: ProcessState,
        parts: &mut Parts,
        at: Timestamp,
    ) -> Result<Commit, ErrorInfo> {
        let shared = self.shared;
        let Resident { live, machine, waiting, outdated, .. } = &mut *self.resident;
        let core = live.core();
        let mut commit = Commit::new(core.pid.clone(), core.epoch, at, from, to);
        commit.paused = machine.is_paused();
        commit.steps = core.steps;
        commit.transition = parts.told.then(|| live.at());
        if parts.told {
            let transition = Transition { pid: &core.pid, from: Some(from), to };
            commit.messages.extend(shared.message(transition));
        }
        commit.applied.clone_from(&self.applied);
        commit.envelope = std::mem::take(outdated).then(|| self.entry.process.envelope().clone());
        if parts.waiting {
            let streams = live.core().streams.as_deref();
            let awaiting = waiting.as_ref().map(|waiting| waiting.awaiting(&self.wait_text, streams));
            commit.awaiting = Some(awaiting.unwrap_or_default());
        }
        if parts.step {
            commit.context = caught(|| live.save()).unwrap_or_else(Err)?;
            commit.report.clone_from(&live.core().effects.reports);
            if !live.core().effects.emitted.is_empty() {
                commit.outputs = Some(json(&live.core().outputs)?);
            }
        }
        if parts.step || parts.ended.is_some() {
            commit.forget_memos = std::mem::take(&mut live.core_mut().memos);
        }
        if parts.position {
            commit.position = Some(live.position()?);
        }
        if parts.listeners {
            commit.listeners = Some(text_of(self.resident.listeners()).map_err(|error| ErrorInfo::from_error(&error))?);
        }
        if let Some(ended) = &parts.ended {
            commit.ended = Some(json(ended)?);
        }
        for child in &mut parts.children {
            commit.children.push(new_child(shared, &commit.pid, child, commit.at)?);
        }
        let status = self.resident.status();
        let told = parts.step && self.resident.live.core().effects.progress.is_some();
        if parts.status || told || status.text != self.last_status() {
            commit.status = Some(status);
        }
        Ok(commit)
    }

    fn last_status(&self) -> Option<String> {
        self.entry.lock().view.status.as_deref().map(str::to_owned)
    }
}

/// The messages that are stored with a boundary: of itself, and of each child that it creates.
#[derive(Default)]
struct Stored {
    own: Option<Uuid>,
    children: Vec<Option<Uuid>>,
}

impl Stored {
    fn of(commit: &Commit) -> Self {
        let first = |messages: &[Message]| messages.first().map(|message| message.id);
        let children = commit.children.iter().map(|child| first(&child.messages)).collect();
        Self { own: first(&commit.messages), children }
    }
}

/// The row of a child at its start.
fn new_child(shared: &Shared, parent: &ProcessId, child: &mut Child, at: Timestamp) -> Result<NewProcess, ErrorInfo> {
    let Child { launched, live } = child;
    let parent = Parent { pid: parent.clone(), awaited: launched.awaited, follows: launched.follows };
    let creation = Transition { pid: &launched.pid, from: None, to: ProcessState::Created };
    let messages = shared.message(creation).into_iter().collect();
    new_process(launched.pid.clone(), live.as_mut(), &launched.process, &launched.inputs, at)
        .map(|process| NewProcess { parent: Some(parent), messages, ..process })
}

/// The row of a process at its start.
pub(super) fn new_process(
    pid: ProcessId,
    live: &mut dyn Live,
    process: &Arc<dyn crate::registry::ProcessType>,
    inputs: &PreparedInputs,
    at: Timestamp,
) -> Result<NewProcess, ErrorInfo> {
    Ok(NewProcess {
        pid,
        key: None,
        parent: None,
        envelope: process.envelope().clone(),
        position: live.position()?,
        context: live.save()?.unwrap_or_else(|| "{}".to_owned()),
        inputs: json(inputs.values())?.into(),
        defaulted: inputs.defaulted_text(),
        listeners: None,
        owes: None,
        begun: None,
        placement: Placement::default(),
        messages: Vec::new(),
        at,
    })
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, ErrorInfo> {
    serde_json::to_string(value).map_err(|error| ErrorInfo::new(format!("cannot be written as JSON: {error}")))
}

fn unwritable(entry: &Entry, error: &ErrorInfo) -> RunError {
    RunError::Parked { pid: entry.pid().clone(), reason: error.to_string() }
}
