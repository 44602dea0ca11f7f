//! The step boundary: what a step led to is worked out, committed in one transaction, and only then announced.

use std::sync::Arc;

use super::RunError;
use super::caught::caught;
use super::drive::{Driver, Stop, answer_and_discard};
use super::entry::{Entry, Mail, Resident, Waiting};
use super::handle::ended;
use super::hooks::{Entering, created, creating, hooks_before, logged};
use super::instance::{Chosen, Live, Turn};
use crate::limits;
use crate::listener::{Attached, Change, text_of};
use crate::process::{
    Action, Collected, Ended, ErrorInfo, Event, Has, Launched, ProcessId, ProcessState, Request, Termination,
    Transition,
};
use crate::spec::{ExitCode, MISSING_OUTPUT};
use crate::store::{Commit, NewProcess, Parent};

/// What a commit writes beside state and flags.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // One per group of columns: any may change without the others.
pub(super) struct Parts {
    pub(super) position: bool,
    pub(super) waiting: bool,
    pub(super) status: bool,
    /// Context, outputs and report: only after a step that ended well.
    pub(super) step: bool,
    pub(super) listeners: bool,
    pub(super) ended: Option<Ended>,
    pub(super) children: Vec<Child>,
    /// A transition: hooks and listeners are told, and history has a row.
    pub(super) told: bool,
}

/// Outputs and status as of the last boundary: a step that is not kept takes them back.
pub(super) struct Undo {
    outputs: serde_json::Map<String, serde_json::Value>,
    status: Option<String>,
    listeners: Option<Vec<Attached>>,
}

/// A child that is about to exist.
pub(super) struct Child {
    launched: Launched,
    live: Box<dyn Live>,
}

/// What a step led to.
struct Plan {
    to: ProcessState,
    ended: Option<Ended>,
    /// Whether what the step did is kept.
    keep: bool,
}

impl Plan {
    fn end(ended: Ended) -> Self {
        Self { to: ended.state(), ended: Some(ended), keep: true }
    }

    fn failed(error: ErrorInfo) -> Self {
        Self { to: ProcessState::Excepted, ended: Some(Ended::Excepted { error }), keep: false }
    }
}

impl Driver<'_> {
    /// Commits what a step, or the choice of one, led to.
    pub(super) async fn settle(&mut self, turn: Turn, stepped: bool) -> Result<(), Stop> {
        let core = self.resident.live.core();
        self.undo = (!core.effects.is_empty()).then(|| Undo {
            outputs: core.outputs.clone(),
            status: core.status.clone(),
            listeners: (!core.effects.listeners.is_empty()).then(|| self.resident.listeners().to_vec()),
        });
        if stepped && !matches!(turn, Turn::Interrupted) {
            self.resident.live.core_mut().steps += 1;
        }
        let step = self.resident.live.at();
        let mut children = Vec::new();
        let refused = matches!(turn, Turn::Refused(_));
        let mut plan = match turn {
            Turn::Refused(error) => Plan::failed(error),
            Turn::Failed(error) => Plan::failed(if stepped { error.in_step(step) } else { error }),
            turn => match self.prepare(turn) {
                Ok((plan, ready)) => {
                    children = ready;
                    plan
                }
                Err(error) => Plan::failed(error),
            },
        };
        if !refused && let Err(error) = self.before(&plan) {
            plan = Plan::failed(error);
        }
        match self.resident.machine.apply(Event::End(plan.to)) {
            Action::Kill(text) => {
                children.clear();
                plan = Plan::end(Ended::Killed { text });
            }
            Action::EnterPaused(_, text) => {
                self.announce_pausing(text.as_deref());
                self.cover_status(text);
            }
            _ => {}
        }
        if !plan.keep {
            children.clear();
            self.take_back();
        }
        self.finish_boundary(plan, children).await
    }

    /// Hooks before the transition that is planned, or before the kill that was asked for meanwhile.
    fn before(&mut self, plan: &Plan) -> Result<(), ErrorInfo> {
        let Self { resident, entry, wait_text, .. } = self;
        let killed = resident.machine.kill_text().filter(|_| plan.to != ProcessState::Excepted);
        let killed = killed.map(|text| Ended::Killed { text: text.to_owned() });
        let resume = resident.waiting.as_ref().is_some_and(|waiting| waiting.resume);
        let state = match (killed.as_ref().or(plan.ended.as_ref()), plan.to) {
            (Some(ended), _) => Entering::Ended(ended),
            (None, ProcessState::Waiting) => Entering::Waiting { text: resume.then_some(wait_text.as_str()) },
            (None, _) => Entering::Running,
        };
        hooks_before(resident, entry.pid(), state)
    }

    /// Takes back what a step that is not kept has changed beside the context, which is dropped with the process.
    fn take_back(&mut self) {
        if let Some(Undo { outputs, status, listeners }) = self.undo.take() {
            let core = self.resident.live.core_mut();
            (core.outputs, core.status) = (outputs, status);
            if let Some(listeners) = listeners {
                self.resident.extra_mut().listeners = listeners;
            }
        }
    }

    async fn finish_boundary(&mut self, plan: Plan, children: Vec<Child>) -> Result<(), Stop> {
        let paused = self.resident.machine.is_paused();
        let waiting = plan.to == ProcessState::Waiting;
        if let Some(ended) = &plan.ended {
            self.resident.waiting = None;
            if let Ended::Killed { text } = ended {
                let force = false;
                self.kill_children(text, force).await?;
                self.resident.live.core_mut().status = Some(text.clone());
            }
        } else if waiting {
            let machine = &mut self.resident.machine;
            machine.set_wants_resume(self.resident.waiting.as_ref().is_some_and(|waiting| waiting.resume));
        }
        self.applied.extend(self.later.iter().filter_map(|mail| mail.id));
        let parts = Parts {
            position: plan.keep && plan.ended.is_none(),
            waiting: waiting || self.resident.committed == ProcessState::Waiting,
            status: paused || matches!(plan.ended, Some(Ended::Killed { .. })),
            step: plan.keep,
            listeners: plan.keep && self.undo.as_ref().is_some_and(|undo| undo.listeners.is_some()),
            ended: plan.ended.clone(),
            children,
            told: true,
        };
        self.commit(plan.to, parts).await?;
        self.answer_later(paused);
        if let Some(ended) = plan.ended {
            return Box::pin(self.end(ended)).await;
        }
        if paused {
            self.announce_paused();
        }
        if waiting {
            self.give_back_slot();
        }
        Ok(())
    }

    /// Answers what waited for the boundary that has just been committed.
    fn answer_later(&mut self, paused: bool) {
        let state = self.resident.committed;
        for mail in self.later.drain(..) {
            let held = match mail.request {
                Request::Pause { .. } => paused,
                Request::Kill { .. } => state == ProcessState::Killed,
                Request::Fail { .. } => state == ProcessState::Excepted,
                _ => true,
            };
            mail.answer(Ok(held));
        }
    }

    /// Works out what comes after a step that did not fail.
    fn prepare(&mut self, turn: Turn) -> Result<(Plan, Vec<Child>), ErrorInfo> {
        if let Turn::Interrupted = turn {
            return Ok((Plan { to: ProcessState::Running, ended: None, keep: true }, Vec::new()));
        }
        self.outputs()?;
        let core = self.resident.live.core_mut();
        let mut wake_at = None;
        let mut children = Vec::new();
        let mut changes = Vec::new();
        if let Some(effects) = core.effects.collected() {
            changes = std::mem::take(&mut effects.listeners);
            if let Some(status) = effects.status.take() {
                core.status = status;
            }
            wake_at = effects.wake_at.take();
            for launched in std::mem::take(&mut effects.launched) {
                let (pid, inputs) = (launched.pid.clone(), launched.inputs.clone());
                let mut live = caught(|| launched.process.create(&core.env, pid, inputs)).unwrap_or_else(Err)?;
                creating(&mut *live, &launched.pid)?;
                children.push(Child { launched, live });
            }
        }
        self.change_listeners(changes)?;
        let mut waiting = Waiting { wake_at, ..Waiting::default() };
        if let Turn::Wait(text) = &turn {
            waiting.resume = true;
            self.wait_text.clone_from(text);
        }
        for Child { launched, .. } in children.iter().filter(|child| child.launched.awaited) {
            let Launched { allow_failure, slot, .. } = launched;
            waiting.children.push((Arc::clone(slot), *allow_failure));
        }
        let ended = match turn {
            Turn::End(ended @ Ended::Killed { .. }) => return Ok((Plan::end(ended), Vec::new())),
            Turn::End(ended) => Some(ended),
            _ => None,
        };
        if !waiting.is_empty() {
            if let Some(ended) = ended {
                self.resident.live.end_later(ended);
            }
            self.resident.waiting = Some(Box::new(waiting));
            return Ok((Plan { to: ProcessState::Waiting, ended: None, keep: true }, children));
        }
        Ok((self.onward(ended), children))
    }

    fn change_listeners(&mut self, changes: Vec<Change>) -> Result<(), ErrorInfo> {
        if changes.is_empty() {
            return Ok(());
        }
        let listeners = &mut self.resident.extra_mut().listeners;
        for change in changes {
            match change {
                Change::Add(new) if listeners.iter().any(|known| known.same_as(&new)) => {}
                Change::Add(new) => listeners.push(new),
                Change::Remove(name) => listeners.retain(|known| !known.is(name)),
            }
        }
        if listeners.len() > limits::LISTENERS {
            let most = limits::LISTENERS;
            return Err(ErrorInfo::new(format!(
                "the step adds more listeners than a process may have, which is {most}"
            )));
        }
        Ok(())
    }

    /// What comes next where nothing is waited for. A predicate that fails does so after the step, which is kept.
    fn onward(&mut self, ended: Option<Ended>) -> Plan {
        let chosen = match ended {
            Some(ended) => Ok(Chosen::End(ended)),
            None => caught(|| self.resident.live.choose()).unwrap_or_else(Err),
        };
        match chosen {
            Ok(Chosen::Step) => Plan { to: ProcessState::Running, ended: None, keep: true },
            Ok(Chosen::End(ended @ Ended::Finished { .. })) => Plan::end(self.validated(ended)),
            Ok(Chosen::End(ended)) => Plan::end(ended),
            Err(error) => Plan::end(Ended::Excepted { error }),
        }
    }

    /// A normal end without a required output is an unsuccessful one that says which (S43).
    fn validated(&self, ended: Ended) -> Ended {
        let core = self.resident.live.core();
        match caught(|| core.spec.check_outputs(&core.outputs)) {
            Ok(Ok(())) => ended,
            Ok(Err(error)) => Ended::Exited { exit: ExitCode::new(MISSING_OUTPUT, "MissingOutput", error.to_string()) },
            Err(panic) => Ended::Excepted { error: panic },
        }
    }

    fn outputs(&mut self) -> Result<(), ErrorInfo> {
        if self.resident.live.core().effects.emitted.is_empty() {
            return Ok(());
        }
        let emitted = self.resident.live.core().effects.emitted.clone();
        if let Some(hooks) = self.resident.live.hooks() {
            for (port, value) in &emitted {
                caught(|| hooks.output_emitting(port, value)).unwrap_or_else(Err)?;
            }
        }
        self.resident.live.core_mut().apply_outputs()
    }

    /// Ends the process now, between steps or in one that was cut off: only its state is written.
    pub(super) async fn end_now(&mut self, ended: Ended, force: bool, mail: Mail) -> Result<(), Stop> {
        let mut ended = ended;
        if let Err(error) = hooks_before(&mut self.resident, self.entry.pid(), Entering::Ended(&ended)) {
            ended = Ended::Excepted { error };
        }
        if let Ended::Killed { text } = &ended {
            self.kill_children(text, force).await?;
            self.resident.live.core_mut().status = Some(text.clone());
        }
        self.later.push(mail);
        self.applied.extend(self.later.iter().filter_map(|mail| mail.id));
        let parts = Parts { status: true, waiting: true, ended: Some(ended.clone()), told: true, ..Parts::default() };
        if let Some(wake_at) = self.resident.waiting.take().and_then(|waiting| waiting.wake_at) {
            self.shared.timers.remove(wake_at, self.entry.pid());
        }
        self.commit(ended.state(), parts).await?;
        self.answer_later(false);
        self.end(ended).await
    }

    /// A kill reaches the children that are awaited. They are asked before the own end is committed: a crash between
    /// the two finds this process still to be killed, and asks them again.
    async fn kill_children(&mut self, text: &str, force: bool) -> Result<(), RunError> {
        let awaited = self.resident.waiting.iter().flat_map(|waiting| &waiting.children);
        let open = awaited.filter(|(slot, _)| slot.get().is_none());
        let mut children: Vec<_> = open.map(|(slot, _)| slot.pid.clone()).collect();
        children.extend(self.followers().await?);
        for pid in children {
            let request = Request::Kill { text: text.to_owned(), force };
            self.shared.request_of_child(&pid, request).await?;
        }
        Ok(())
    }

    /// Children that nobody waits for, launched to be killed with this process.
    async fn followers(&mut self) -> Result<Vec<ProcessId>, RunError> {
        let Some(store) = self.shared.store() else {
            return Ok(self.resident.extra().map(|extra| extra.followers.clone()).unwrap_or_default());
        };
        let mut followers = Vec::new();
        for pid in store.children(self.entry.pid()).await? {
            let child = store.load(&pid).await?;
            followers.extend(child.filter(|child| child.follows && !child.state.is_terminal()).map(|child| child.pid));
        }
        Ok(followers)
    }

    /// Tells all who wait, and ends the driver.
    async fn end(&mut self, ended: Ended) -> Result<(), Stop> {
        self.close();
        tracing::debug!(%ended, "ended");
        self.give_back_slot();
        let outputs = std::mem::take(&mut self.resident.live.core_mut().outputs);
        self.shared.end(self.entry, Ok(Termination::new(ended, outputs)));
        self.answer_ended().await;
        Err(Stop::Ended)
    }

    /// The last hooks, with the cleanups between them; what runs beside the steps is cut off (S37, S65).
    fn close(&mut self) {
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

    /// Answers what was asked of a process that has ended meanwhile.
    pub(super) async fn answer_ended(&mut self) {
        self.later.extend(self.entry.take_mail());
        for mail in std::mem::take(&mut self.later) {
            let answer = ended(self.entry.pid(), self.resident.committed, &mail.request);
            answer_and_discard(self.shared, mail, answer).await;
        }
    }

    /// Commits a change that is no transition (a flag, a status, a resume), and answers who asked for it.
    pub(super) async fn commit_in_place(&mut self, mail: Mail, parts: Parts) -> Result<(), Stop> {
        self.applied.extend(mail.id);
        self.later.push(mail);
        self.commit(self.resident.committed, parts).await?;
        self.answer_later(true);
        Ok(())
    }

    /// Writes one boundary; what it announces, and the children it creates, leave after it.
    pub(super) async fn commit(&mut self, to: ProcessState, mut parts: Parts) -> Result<(), Stop> {
        let from = self.resident.committed;
        // Until they are in the table, nobody may bring the children that the store has from now on.
        let adopting = if parts.children.is_empty() { None } else { Some(self.shared.adoption.read().await) };
        if let Some(store) = self.shared.store() {
            let committing = match self.build_commit(from, to, &mut parts) {
                Ok(commit) => store.commit(commit),
                Err(error) if to == ProcessState::Excepted => return Err(unwritable(self.entry, &error).into()),
                Err(error) => {
                    // The step's results cannot be written: it failed.
                    drop(adopting);
                    self.take_back();
                    self.resident.waiting = None;
                    self.resident.machine = crate::process::Machine::new(ProcessState::Excepted, false);
                    let ended = Ended::Excepted { error: error.in_step(self.resident.live.at()) };
                    let parts = Parts { ended: Some(ended.clone()), waiting: true, told: true, ..Parts::default() };
                    Box::pin(self.commit(ended.state(), parts)).await?;
                    return Box::pin(self.end(ended)).await;
                }
            };
            committing.await.map_err(RunError::from)?;
        }
        self.resident.committed = to;
        self.applied.clear();
        self.publish();
        let mut effects = std::mem::take(&mut self.resident.live.core_mut().effects);
        self.adopt(parts.children);
        drop(adopting);
        if let Some(effects) = effects.collected() {
            self.begin_beside(effects, parts.step && parts.ended.is_none());
        }
        if parts.step {
            self.announce_step(&effects.emitted, &effects.reports);
        }
        if parts.told {
            self.announce(from, to, parts.ended.as_ref());
        }
        Ok(())
    }

    fn build_commit(&mut self, from: ProcessState, to: ProcessState, parts: &mut Parts) -> Result<Commit, ErrorInfo> {
        let Resident { live, machine, waiting, .. } = &mut *self.resident;
        let core = live.core();
        let mut commit = Commit::new(core.pid.clone(), core.env.epoch, core.env.clock.now(), from, to);
        commit.paused = machine.is_paused();
        commit.steps = core.steps;
        commit.transition = parts.told.then(|| live.at());
        commit.applied.clone_from(&self.applied);
        if parts.waiting {
            commit.awaiting =
                Some(waiting.as_ref().map(|waiting| waiting.awaiting(&self.wait_text)).unwrap_or_default());
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
            commit.children.push(new_child(&commit.pid, child, commit.at)?);
        }
        let status = self.resident.status();
        if parts.status || status.text != self.last_status() {
            commit.status = Some(status);
        }
        Ok(commit)
    }

    /// Keeps the cleanups of a step, and starts what is to run beside those that follow.
    fn begin_beside(&mut self, effects: &mut Collected, starts: bool) {
        let calls = if starts { std::mem::take(&mut effects.calls) } else { Vec::new() };
        if calls.is_empty() && effects.cleanups.is_empty() {
            return;
        }
        let (shared, entry) = (self.shared, self.entry);
        let extra = self.resident.extra_mut();
        extra.cleanups.append(&mut effects.cleanups);
        while extra.calls.try_join_next().is_some() {}
        for call in calls {
            extra.calls.spawn(super::beside::run(Arc::downgrade(shared), Arc::clone(entry), call));
        }
        let has = Has { cleanups: extra.cleanups.len(), calls: extra.calls.len() };
        self.resident.live.core_mut().has = has;
    }

    fn last_status(&self) -> Option<String> {
        self.entry.lock().view.status.as_deref().map(str::to_owned)
    }

    fn publish(&self) {
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

    fn adopt(&mut self, children: Vec<Child>) {
        for Child { launched, live } in children {
            if launched.follows && self.shared.store().is_none() {
                self.resident.extra_mut().followers.push(launched.pid.clone());
            }
            let parent = Some(self.entry.pid().clone());
            let slot = Arc::clone(&launched.slot);
            let mut resident = Resident::new(live);
            created(self.shared, &mut resident, &slot.pid);
            let known = self.shared.adopt(&Entry::new(launched.slot, launched.process, parent, resident));
            if !Arc::ptr_eq(&known, &slot) {
                self.shared.watch(&slot);
            }
        }
    }

    fn announce(&mut self, from: ProcessState, to: ProcessState, ended: Option<&Ended>) {
        let transition = Transition { pid: self.entry.pid(), from: Some(from), to };
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

    fn announce_step(&mut self, emitted: &[(String, serde_json::Value)], reports: &[String]) {
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
}

/// The row of a child at its start.
fn new_child(parent: &ProcessId, child: &mut Child, at: crate::clock::Timestamp) -> Result<NewProcess, ErrorInfo> {
    let Child { launched, live } = child;
    let parent = Parent { pid: parent.clone(), awaited: launched.awaited, follows: launched.follows };
    new_process(launched.pid.clone(), live.as_mut(), &launched.process, &launched.inputs, at)
        .map(|process| NewProcess { parent: Some(parent), ..process })
}

/// The row of a process at its start.
pub(super) fn new_process(
    pid: ProcessId,
    live: &mut dyn Live,
    process: &Arc<dyn crate::registry::ProcessType>,
    inputs: &serde_json::Map<String, serde_json::Value>,
    at: crate::clock::Timestamp,
) -> Result<NewProcess, ErrorInfo> {
    Ok(NewProcess {
        pid,
        key: None,
        parent: None,
        envelope: process.envelope().clone(),
        position: live.position()?,
        context: live.save()?.unwrap_or_else(|| "{}".to_owned()),
        inputs: json(inputs)?.into(),
        defaulted: None,
        listeners: None,
        at,
    })
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, ErrorInfo> {
    serde_json::to_string(value).map_err(|error| ErrorInfo::new(format!("cannot be written as JSON: {error}")))
}

fn unwritable(entry: &Entry, error: &ErrorInfo) -> RunError {
    RunError::Parked { pid: entry.pid().clone(), reason: error.to_string() }
}
