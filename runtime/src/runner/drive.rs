//! Moves one process: runs a step, commits the boundary, announces it; handles what is asked meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::SemaphorePermit;

use super::RunError;
use super::boundary::{Parts, Undo};
use super::caught::{caught, caught_async};
use super::entry::{Entry, Mail, Resident};
use super::hooks::{Entering, hooks_before, logged};
use super::instance::{Chosen, Turn};
use super::lease::is_in_doubt;
use super::shared::Shared;
use crate::limits;
use crate::listener::Listener;
use crate::process::{Action, Ended, ErrorInfo, Event, Machine, ProcessState, Request};
use crate::store::{RequestId, StoreError, StoreErrorKind};

/// What stops a driver.
pub(super) enum Stop {
    /// The process rests: it waits, is paused, or the runtime closes.
    Rest,
    /// The process has ended, and all who wait for it were told.
    Ended,
    /// The process cannot go on in this runtime; the store has it as of its last boundary.
    Lost(RunError),
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self::Lost(error)
    }
}

/// Its future is what a process costs while it runs: what happens seldom is boxed where it is awaited.
pub(crate) struct Driver<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) entry: &'a Arc<Entry>,
    pub(super) resident: Box<Resident>,
    permit: Option<SemaphorePermit<'a>>,
    /// Requests that wait for the step to end.
    pub(super) later: Vec<Mail>,
    /// Rows of requests that the next commit applies.
    pub(super) applied: Vec<RequestId>,
    /// What the step that is being settled changed beside the context.
    pub(super) undo: Option<Undo>,
    /// The text of the wait that is being entered.
    pub(super) wait_text: String,
}

impl<'a> Driver<'a> {
    /// Drives a process until it rests or ends.
    pub(crate) async fn drive(shared: Arc<Shared>, entry: Arc<Entry>, resident: Option<Box<Resident>>) {
        let resident = match resident {
            Some(resident) => Ok(resident),
            None => Box::pin(Self::load(&shared, &entry)).await,
        };
        let mut resident = match resident {
            Ok(resident) => resident,
            Err(error) => return Self::lose(&shared, &entry, &error),
        };
        loop {
            let mut driver = Driver {
                shared: &shared,
                entry: &entry,
                resident,
                permit: None,
                later: Vec::new(),
                applied: Vec::new(),
                undo: None,
                wait_text: String::new(),
            };
            match driver.run().await {
                Stop::Ended => return,
                Stop::Lost(error) => {
                    let later = std::mem::take(&mut driver.later);
                    match (&error, &shared.sharing) {
                        // The rows of those stay for the worker that goes on with it.
                        (RunError::Store(_), Some(_)) if !shared.is_closing() => {
                            for mail in later {
                                shared.pass_mail_on(entry.pid(), mail);
                            }
                        }
                        _ => later.into_iter().for_each(|mail| mail.answer(Err(error.clone()))),
                    }
                    return Self::lose(&shared, &entry, &error);
                }
                Stop::Rest => match driver.rest() {
                    Some(again) => resident = again,
                    None => return,
                },
            }
        }
    }

    async fn load(shared: &Arc<Shared>, entry: &Entry) -> Result<Box<Resident>, RunError> {
        let not_found = || RunError::NotFound(entry.pid().clone());
        let record = shared.store().ok_or_else(not_found)?.load(entry.pid()).await?.ok_or_else(not_found)?;
        let resident = shared.restore(&record).await?;
        if shared.sharing.is_some() && entry.lock().evicted {
            // It would write under the epoch that this worker has by now.
            return Err(stale(entry).into());
        }
        Ok(resident)
    }

    pub(super) fn lose(shared: &Arc<Shared>, entry: &Entry, error: &RunError) {
        if !matches!(error, RunError::Closed) {
            tracing::error!(pid = %entry.pid(), error = error as &dyn std::error::Error, "process suspended");
        }
        // Looked at first: a worker lets go of what it has before it has another.
        let epoch = shared.env.epoch();
        let sharing = shared.sharing.as_ref().filter(|_| !shared.is_closing());
        if sharing.is_some() && entry.lock().evicted {
            // What became of it says nothing of the epoch that this worker has by now.
            shared.pass_on(entry);
            return;
        }
        if sharing.is_some_and(|sharing| shared.give_up(sharing, epoch, entry, error)) {
            return;
        }
        if let Some(sharing) = sharing
            && let RunError::Store(failed) = error
        {
            shared.pass_on(entry);
            shared.doubt(failed);
            // Another worker has it already, or will have it when the epoch is given up, or may have it now.
            if failed.kind() != StoreErrorKind::Stale && !is_in_doubt(failed) {
                // What fails may fail again: not at once.
                sharing.lose(epoch, entry.pid(), limits::LOAD_AGAIN);
            }
            return;
        }
        shared.end(entry, Err(error.clone()));
        // After the end no mail is taken; the rows of these stay in the store for when the process goes on.
        entry.take_mail().into_iter().for_each(|mail| mail.answer(Err(error.clone())));
    }

    /// Lays the process down, unless something happened meanwhile.
    fn rest(self) -> Option<Box<Resident>> {
        let mut inner = self.entry.lock();
        if !self.shared.is_closing() && (inner.woken || !inner.mail.is_empty()) {
            inner.woken = false;
            return Some(self.resident);
        }
        inner.driven = false;
        let evicted = inner.evicted;
        self.shared.lay_down(self.entry, &mut inner, self.resident);
        drop(inner);
        if evicted {
            self.shared.evict(self.entry);
        }
        // Looked at after the process was laid down: a close before that found it driven, one after that finds it here.
        if self.shared.is_closing() {
            self.entry.close();
        }
        None
    }

    async fn run(&mut self) -> Stop {
        loop {
            let turn = match self.answer_mail().await {
                Ok(()) => self.advance().await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = turn {
                return stop;
            }
        }
    }

    async fn answer_mail(&mut self) -> Result<(), Stop> {
        let mut mails = self.entry.take_mail();
        while let Some(mail) = mails.pop_front() {
            if let Err(stop) = Box::pin(self.answer(mail)).await {
                self.later.extend(mails);
                if matches!(stop, Stop::Ended) {
                    self.answer_ended().await;
                }
                return Err(stop);
            }
        }
        Ok(())
    }

    /// One transition, or none if there is nothing to do now.
    async fn advance(&mut self) -> Result<(), Stop> {
        if self.shared.is_closing() || self.resident.machine.is_paused() {
            return Err(Stop::Rest);
        }
        if self.resident.waits() {
            return Err(Stop::Rest);
        }
        self.is_own()?;
        if self.shared.slots.available_permits() == 0 {
            // Others may wait for a slot, and are served in the order in which they came.
            self.give_back_slot();
        }
        if self.permit.is_none() {
            let shared: &'a Shared = self.shared;
            tokio::select! {
                biased;
                permit = shared.slots.acquire() => match permit {
                    Ok(permit) => self.permit = Some(permit),
                    Err(_closed) => return Err(Stop::Rest),
                },
                // Control does not wait for a slot.
                () = self.entry.bell.notified() => return Ok(()),
            }
        }
        if let Some(error) = self.lost_child() {
            return Err(Stop::Lost(error));
        }
        if !self.may_begin().await {
            return Ok(());
        }
        let fault = match self.end_stream_wait() {
            Ok(true) => None,
            Ok(false) => {
                self.give_back_slot();
                return Ok(());
            }
            Err(fault) => Some(ErrorInfo::from_error(&fault)),
        };
        self.resident.machine.apply(Event::Begin);
        match fault.map_or_else(|| self.choose(), Err) {
            Ok(Chosen::Step) => {
                self.begin().await?;
                let turn = self.run_step().await?;
                let effects = self.resident.live.core_mut().effects.collected();
                if let Some(error) = effects.and_then(|effects| effects.lost.take()) {
                    return Err(Stop::Lost(error.into()));
                }
                self.settle(turn, true).await
            }
            Ok(Chosen::End(ended)) => {
                if self.resident.committed == ProcessState::Created {
                    self.begin().await?;
                }
                self.settle(Turn::End(ended), false).await
            }
            Err(error) => self.settle(Turn::Failed(error), false).await,
        }
    }

    /// Where workers share the store: whether this one has not let go of the process.
    fn is_own(&self) -> Result<(), Stop> {
        let evicted = self.shared.sharing.is_some() && self.entry.lock().evicted;
        if evicted { Err(lost(self.entry)) } else { Ok(()) }
    }

    /// Whether a step may begin: not on a worker whose lease may have lapsed, since another may be at the same step.
    async fn may_begin(&mut self) -> bool {
        let Some(sharing) = &self.shared.sharing else { return true };
        if sharing.lease.holds() {
            return true;
        }
        self.give_back_slot();
        tokio::select! {
            () = sharing.lease.news() => {}
            () = self.shared.closed() => {}
            () = self.entry.bell.notified() => {}
        }
        false
    }

    /// A child whose end this runtime cannot know. Its parent does not fail for that: both go on with the next runtime.
    fn lost_child(&self) -> Option<RunError> {
        let waiting = self.resident.waiting.as_ref()?;
        waiting.children.iter().find_map(|(slot, _)| slot.get()?.as_ref().err().cloned())
    }

    /// What comes next. A failed child ends its parent here, when the wait is over.
    fn choose(&mut self) -> Result<Chosen, ErrorInfo> {
        if let Some(waiting) = &self.resident.waiting {
            for (slot, allow_failure) in &waiting.children {
                let failure = match slot.get() {
                    Some(Ok(child)) if matches!(child.ended, Ended::Excepted { .. } | Ended::Killed { .. }) => {
                        child.ended.to_string()
                    }
                    _ => continue,
                };
                if !allow_failure {
                    return Err(ErrorInfo::new(format!("child {} {failure}", slot.pid)));
                }
            }
        }
        caught(|| self.resident.live.choose()).unwrap_or_else(Err)
    }

    /// Enters running from another state, before the first step.
    async fn begin(&mut self) -> Result<(), Stop> {
        if self.resident.committed == ProcessState::Running {
            return Ok(());
        }
        let to = ProcessState::Running;
        if let Err(error) = hooks_before(&mut self.resident, self.entry.pid(), Entering::Running) {
            return Box::pin(self.settle(Turn::Refused(error), false)).await.and(Err(Stop::Ended));
        }
        self.resident.waiting = None;
        // One that has just been created has never waited.
        let waiting = self.resident.committed == ProcessState::Waiting;
        self.commit(to, Parts { position: true, waiting, told: true, ..Parts::default() }).await
    }

    /// Runs the chosen step to its end, or until it is cut off.
    async fn run_step(&mut self) -> Result<Turn, Stop> {
        let unwatched = self.shared.listeners.is_empty() && self.resident.listeners().is_empty();
        let quiet = self.shared.store().is_none() && unwatched && self.shared.remote.is_none();
        let signal = quiet.then_some(&self.entry.signal);
        let Resident { live, machine, .. } = &mut *self.resident;
        let done = {
            let mut run = pin!(caught_async(live.run(signal)));
            loop {
                tokio::select! {
                    biased;
                    // Which step it was is asked at the boundary: a burst has run several.
                    turn = &mut run => break Ok(turn),
                    () = self.entry.bell.notified() => {
                        if self.shared.is_aborting() {
                            return Err(Stop::Lost(RunError::Closed));
                        }
                        if self.entry.lock().evicted {
                            return Err(lost(self.entry));
                        }
                        let answering = answer_in_step(self.shared, self.entry, machine, &mut self.later);
                        if let Some(cut) = Box::pin(answering).await {
                            break Err(cut);
                        }
                        // What waits for the step to end, a close or a new listener must not wait for the end of a burst.
                        if machine.is_interrupted() || self.shared.is_closing() || !self.shared.listeners.is_empty() {
                            self.entry.signal.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
        };
        let cut = match done {
            Ok(Ok(turn)) => return Ok(turn),
            // It is the predicate that failed, not the step before it, which is kept.
            Ok(Err(error)) if live.is_choosing() => return Ok(Turn::End(Ended::Excepted { error })),
            Ok(Err(error)) => return Ok(Turn::Failed(error)),
            Err(cut) => cut,
        };
        // The step's future is gone, and with it the object it left half changed: only the state is written.
        let (ended, force) = match cut.0 {
            Action::Kill(text) => (Ended::Killed { text }, true),
            Action::Fail(error) => (Ended::Excepted { error }, false),
            _ => return Ok(Turn::Failed(ErrorInfo::new("a step was cut off for no reason"))),
        };
        Box::pin(self.end_now(ended, force, cut.1)).await.and(Err(Stop::Ended))
    }

    /// Handles a request between steps.
    async fn answer(&mut self, mail: Mail) -> Result<(), Stop> {
        if let Request::Resume { value } = &mail.request
            && self.resident.machine.state() == ProcessState::Waiting
            && self.wants_resume()
            && let Err(message) = self.take_value(value.clone()).await?
        {
            let error = RunError::ResumeValue { pid: self.entry.pid().clone(), message };
            answer_and_discard(self.shared, mail, Err(error)).await;
            return Ok(());
        }
        if matches!(mail.request, Request::Start) && self.resident.live.start() {
            return self.commit_in_place(mail, Parts { position: true, ..Parts::default() }).await;
        }
        let force = matches!(mail.request, Request::Kill { force: true, .. });
        let action = self.resident.machine.apply(Event::Request(mail.request.clone()));
        tracing::debug!(?action, "request");
        match action {
            Action::Pause(text) => self.pause(text, mail).await,
            Action::Play => self.play(mail).await,
            Action::Resume(_) => self.resumed(mail).await,
            Action::Kill(text) => self.end_now(Ended::Killed { text }, force, mail).await,
            Action::Fail(error) => self.end_now(Ended::Excepted { error }, false, mail).await,
            action => {
                settle_mail(self.shared, self.entry, &mut self.later, action, mail).await;
                Ok(())
            }
        }
    }

    /// Hands the value of a resume to the process; the handles of children in the arguments find their ends.
    async fn take_value(&mut self, value: serde_json::Value) -> Result<Result<(), String>, RunError> {
        match caught(|| self.resident.live.resume(value)).unwrap_or_else(|panic| Err(panic.to_string())) {
            Ok(children) => {
                for slot in &children {
                    self.shared.find_end(slot).await?;
                }
                Ok(Ok(()))
            }
            Err(message) => Ok(Err(message)),
        }
    }

    fn wants_resume(&self) -> bool {
        self.resident.waiting.as_ref().is_some_and(|waiting| waiting.resume)
    }

    async fn pause(&mut self, text: Option<String>, mail: Mail) -> Result<(), Stop> {
        self.announce_pausing(text.as_deref());
        self.cover_status(text);
        self.commit_in_place(mail, Parts { status: true, ..Parts::default() }).await?;
        self.announce_paused();
        Ok(())
    }

    async fn play(&mut self, mail: Mail) -> Result<(), Stop> {
        if let Some(hooks) = self.resident.live.hooks() {
            logged(self.entry.pid(), caught(|| hooks.playing()));
        }
        if let Some(status) = self.resident.extra_mut().before_pause.take() {
            self.resident.live.core_mut().status = status;
        }
        self.commit_in_place(mail, Parts { status: true, ..Parts::default() }).await?;
        if let Some(hooks) = self.resident.live.hooks() {
            logged(self.entry.pid(), caught(|| hooks.played()));
        }
        self.tell(Listener::on_played);
        Ok(())
    }

    async fn resumed(&mut self, mail: Mail) -> Result<(), Stop> {
        if let Some(waiting) = &mut self.resident.waiting {
            waiting.resume = false;
        }
        self.commit_in_place(mail, Parts { position: true, waiting: true, ..Parts::default() }).await
    }

    /// A pause with a text covers the status until the process is played (S54); one without leaves it (S55).
    pub(super) fn cover_status(&mut self, text: Option<String>) {
        let status = self.resident.live.core().status.clone();
        self.resident.extra_mut().before_pause = Some(status);
        if text.is_some() {
            self.resident.live.core_mut().status = text;
        }
    }

    pub(super) fn give_back_slot(&mut self) {
        self.permit = None;
    }
}

/// Another worker has the process, or will have it.
fn lost(entry: &Entry) -> Stop {
    Stop::Lost(stale(entry).into())
}

fn stale(entry: &Entry) -> StoreError {
    StoreError::new(StoreErrorKind::Stale, "go on with", format_args!("process `{}`", entry.pid()))
}

/// Handles requests while a step runs. Gives the action and its request if the step is to be cut off.
async fn answer_in_step(
    shared: &Arc<Shared>,
    entry: &Entry,
    machine: &mut Machine,
    later: &mut Vec<Mail>,
) -> Option<(Action, Mail)> {
    let mut cut = None;
    for mail in entry.take_mail() {
        let action = machine.apply(Event::Request(mail.request.clone()));
        tracing::debug!(?action, "request in a step");
        if matches!((&action, &mail.request), (Action::Later, Request::Kill { .. })) {
            entry.lock().view.killing = true;
        }
        if matches!(action, Action::Kill(_) | Action::Fail(_)) {
            cut = Some((action, mail));
        } else {
            settle_mail(shared, entry, later, action, mail).await;
        }
    }
    cut
}

/// Answers a request that changes nothing now.
async fn settle_mail(shared: &Arc<Shared>, entry: &Entry, later: &mut Vec<Mail>, action: Action, mail: Mail) {
    if matches!(mail.request, Request::Play) {
        // A play takes back a pause that is not in force yet.
        for paused in later.extract_if(.., |mail| matches!(mail.request, Request::Pause { .. })) {
            answer_and_discard(shared, paused, Ok(false)).await;
        }
    }
    match action {
        Action::Later => later.push(mail),
        Action::Refuse(state) => {
            let error = RunError::InvalidState { pid: entry.pid().clone(), state, request: name(&mail.request) };
            answer_and_discard(shared, mail, Err(error)).await;
        }
        action => answer_and_discard(shared, mail, Ok(matches!(action, Action::Nothing(true)))).await,
    }
}

/// Removes a request's row, which no commit will apply, then answers.
pub(super) async fn answer_and_discard(shared: &Arc<Shared>, mail: Mail, answer: Result<bool, RunError>) {
    let discarded = match mail.id {
        Some(id) => shared.discard(id).await,
        None => Ok(()),
    };
    mail.answer(discarded.and(answer));
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Pause { .. } => "pause",
        Request::Play => "play",
        Request::Start => "start",
        Request::Kill { .. } => "kill",
        Request::Resume { .. } => "resume",
        Request::Fail { .. } => "fail",
    }
}
