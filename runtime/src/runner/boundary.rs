//! The step boundary: what a step led to is worked out, committed in one transaction, and only then announced.

use std::sync::Arc;

use super::RunError;
use super::caught::caught;
use super::drive::{Driver, Stop, answer_and_discard};
use super::entry::{Mail, Waiting};
use super::handle::ended;
use super::hooks::{Entering, creating, hooks_before};
use super::instance::{Chosen, Live, Turn};
use crate::limits;
use crate::listener::{Attached, Change};
use crate::process::{
    Action, Ended, ErrorInfo, Event, Launched, ProcessId, ProcessState, Progress, Request, Termination,
};
use crate::spec::{ExitCode, MISSING_OUTPUT};
use crate::stream::Streams;

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
    progress: Option<Box<Progress>>,
    listeners: Option<Vec<Attached>>,
    streams: Option<Box<Streams>>,
}

/// A child that is about to exist.
pub(super) struct Child {
    pub(super) launched: Launched,
    pub(super) live: Box<dyn Live>,
}

/// What a step led to.
pub(super) struct Plan {
    pub(super) to: ProcessState,
    pub(super) ended: Option<Ended>,
    /// Whether what the step did is kept.
    pub(super) keep: bool,
    /// The process ends as soon as what it has sent has left.
    pub(super) leaves: bool,
}

impl Plan {
    pub(super) fn end(ended: Ended) -> Self {
        Self { to: ended.state(), ended: Some(ended), keep: true, leaves: false }
    }

    /// To go on, in this state.
    fn onward(to: ProcessState) -> Self {
        Self { to, ended: None, keep: true, leaves: false }
    }

    fn failed(error: ErrorInfo) -> Self {
        Self { to: ProcessState::Excepted, ended: Some(Ended::Excepted { error }), keep: false, leaves: false }
    }
}

impl Driver<'_> {
    /// Commits what a step, or the choice of one, led to.
    pub(super) async fn settle(&mut self, turn: Turn, stepped: bool) -> Result<(), Stop> {
        let core = self.resident.live.core();
        self.undo = (!core.effects.is_empty()).then(|| Undo {
            outputs: core.outputs.clone(),
            status: core.status.clone(),
            progress: core.progress.clone(),
            listeners: (!core.effects.listeners.is_empty()).then(|| self.resident.listeners().to_vec()),
            streams: core.streams.clone(),
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
        plan = self.leave_first(plan, &mut children);
        if !refused && let Err(error) = self.before(&plan) {
            plan = Plan::failed(error);
        }
        match self.resident.machine.apply(Event::End(plan.to)) {
            Action::Kill(text) => {
                children.clear();
                self.unsend();
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
    pub(super) fn take_back(&mut self) {
        self.unsend();
        if let Some(Undo { outputs, status, progress, listeners, .. }) = self.undo.take() {
            let core = self.resident.live.core_mut();
            (core.outputs, core.status, core.progress) = (outputs, status, progress);
            if let Some(listeners) = listeners {
                self.resident.extra_mut().listeners = listeners;
            }
        }
    }

    /// What a step has sent that is not kept does not leave, and what has come for the next one comes again.
    pub(super) fn unsend(&mut self) {
        if let Some(streams) = self.undo.as_mut().and_then(|undo| undo.streams.take()) {
            self.resident.live.core_mut().streams = Some(streams);
            self.resident.extra_mut().receipts.clear();
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
                self.farewell().await;
                self.resident.live.core_mut().status = Some(text.clone());
            }
        } else if waiting {
            let machine = &mut self.resident.machine;
            machine.set_wants_resume(self.resident.waiting.as_ref().is_some_and(|waiting| waiting.resume));
        }
        self.applied.extend(self.later.iter().filter_map(|mail| mail.id));
        let parts = Parts {
            position: (plan.keep || plan.leaves) && plan.ended.is_none(),
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
            return Ok((Plan::onward(ProcessState::Running), Vec::new()));
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
            if let Some(told) = &effects.progress {
                core.progress = Some(Box::new(told.progress()));
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
        let streams = self.apply_streams()? && !matches!(turn, Turn::End(_));
        let mut waiting = Waiting { wake_at, streams, ..Waiting::default() };
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
            return Ok((Plan::onward(ProcessState::Waiting), children));
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
            Ok(Chosen::Step) => Plan::onward(ProcessState::Running),
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
        self.farewell().await;
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
    pub(super) async fn end(&mut self, ended: Ended) -> Result<(), Stop> {
        self.close();
        tracing::debug!(%ended, "ended");
        self.give_back_slot();
        let outputs = std::mem::take(&mut self.resident.live.core_mut().outputs);
        self.shared.end(self.entry, Ok(Termination::new(ended, outputs)));
        self.answer_ended().await;
        Err(Stop::Ended)
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
}
