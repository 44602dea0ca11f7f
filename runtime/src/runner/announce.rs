//! What is told, and what begins, when a boundary is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::beside::Beside;
use super::boundary::Child;
use super::caught::caught;
use super::drive::Driver;
use super::entry::{Entry, Resident};
use super::hooks::{created, logged};
use super::listeners::tell_one;
use crate::clock::Timestamp;
use crate::listener::Listener;
use crate::process::{Collected, Ended, Has, ProcessId, ProcessState, Transition};

impl Driver<'_> {
    /// Keeps the cleanups of a step, and starts what is to run beside those that follow.
    pub(super) fn begin_beside(&mut self, effects: &mut Collected, starts: bool) {
        let calls = if starts { std::mem::take(&mut effects.calls) } else { Vec::new() };
        if calls.is_empty() && effects.cleanups.is_empty() {
            return;
        }
        let (shared, entry) = (self.shared, self.entry);
        let extra = self.resident.extra_mut();
        extra.cleanups.append(&mut effects.cleanups);
        while extra.calls.try_join_next().is_some() {}
        extra.running.fetch_add(calls.len(), Ordering::AcqRel);
        for call in calls {
            let beside = Beside {
                shared: Arc::downgrade(shared),
                slot: Arc::clone(&entry.slot),
                process: entry.process.name(),
                running: Arc::clone(&extra.running),
            };
            extra.calls.spawn(beside.run(call));
        }
        let has = Has { cleanups: extra.cleanups.len(), calls: Some(Arc::clone(&extra.running)) };
        self.resident.live.core_mut().has = has;
    }

    pub(super) fn publish(&self) {
        let core = self.resident.live.core();
        let mut inner = self.entry.lock();
        inner.view.state = self.resident.committed;
        inner.view.paused = self.resident.machine.is_paused();
        inner.view.killing = false;
        inner.view.steps = core.steps;
        inner.view.at = self.resident.live.at();
        if inner.view.status.as_deref() != core.status.as_deref() {
            inner.view.status = core.status.as_deref().map(Into::into);
        }
    }

    /// Lets children begin, of whose creation these messages are stored.
    pub(super) fn adopt(&mut self, children: Vec<Child>, at: Timestamp, messages: &[Option<Uuid>]) {
        for (place, Child { launched, live }) in children.into_iter().enumerate() {
            if launched.follows && self.shared.store().is_none() {
                self.resident.extra_mut().followers.push(launched.pid.clone());
            }
            let parent = Some(self.entry.pid().clone());
            let slot = Arc::clone(&launched.slot);
            let mut resident = Resident::new(live);
            created(self.shared, &mut resident, &slot.pid);
            let entry = Entry::new(launched.slot, launched.process, parent, at, resident);
            let message = messages.get(place).copied().flatten();
            let known = self.shared.adopt_new(&entry, [message, None]);
            if !Arc::ptr_eq(&known, &slot) {
                self.shared.watch(&slot);
            }
        }
    }

    pub(super) fn announce(
        &mut self,
        from: ProcessState,
        to: ProcessState,
        message: Option<Uuid>,
        ended: Option<&Ended>,
    ) {
        let transition = Transition { pid: self.entry.pid(), from: Some(from), to };
        if let Some(remote) = &self.shared.remote {
            remote.tell(transition, message);
        }
        if let Some(hooks) = self.resident.live.hooks() {
            logged(transition.pid, caught(|| hooks.entered(transition)));
            logged(transition.pid, caught(|| hooks.in_state(to)));
        }
        let at = self.resident.live.at();
        let outputs = &self.resident.live.core().outputs;
        self.tell(|listener, pid| {
            listener.on_transition(transition, at);
            match (ended, to) {
                (Some(Ended::Excepted { error }), _) => listener.on_excepted(pid, error),
                (Some(Ended::Killed { text }), _) => listener.on_killed(pid, text),
                (Some(ended), _) => listener.on_finished(pid, ended, outputs),
                (None, ProcessState::Waiting) => listener.on_waiting(pid),
                (None, _) => listener.on_running(pid),
            }
        });
    }

    pub(super) fn announce_step(&mut self, emitted: &[(String, serde_json::Value)], reports: &[String]) {
        for (port, value) in emitted {
            if let Some(hooks) = self.resident.live.hooks() {
                logged(self.entry.pid(), caught(|| hooks.output_emitted(port, value)));
            }
            self.tell(|listener, pid| listener.on_output_emitted(pid, port, value));
        }
        for line in reports {
            tracing::info!(report = line.as_str());
            self.tell(|listener, pid| listener.on_report(pid, line));
        }
    }

    /// The last hooks, with the cleanups between them; what runs beside the steps is cut off (S37, S65).
    pub(super) fn close(&mut self) {
        let pid = self.entry.pid();
        if let Some(hooks) = self.resident.live.hooks() {
            logged(pid, caught(|| hooks.terminated()));
        }
        if let Some(extra) = self.resident.take_extra() {
            for cleanup in extra.cleanups {
                if let Err(panic) = caught(cleanup.into_inner()) {
                    tracing::error!(%panic, "a cleanup panicked");
                }
            }
        }
        if let Some(hooks) = self.resident.live.hooks() {
            logged(pid, caught(|| hooks.close()));
        }
    }

    pub(super) fn announce_pausing(&mut self, text: Option<&str>) {
        if let Some(hooks) = self.resident.live.hooks() {
            logged(self.entry.pid(), caught(|| hooks.pausing(text)));
        }
    }

    pub(super) fn announce_paused(&mut self) {
        if let Some(hooks) = self.resident.live.hooks() {
            logged(self.entry.pid(), caught(|| hooks.paused()));
        }
        self.tell(Listener::on_paused);
    }

    pub(super) fn tell(&self, what: impl Fn(&dyn Listener, &ProcessId)) {
        let pid = self.entry.pid();
        self.shared.listeners.tell(pid, |listener| what(listener, pid));
        for attached in self.resident.listeners() {
            tell_one(&*attached.listener, pid, |listener| what(listener, pid));
        }
    }
}
