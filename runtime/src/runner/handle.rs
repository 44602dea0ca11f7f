//! What a launch gives: the link to a process.

use serde::Serialize;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::oneshot;

use super::RunError;
use super::entry::Mail;
use super::position::step_in;
use super::shared::{Shared, Undelivered};
use crate::listener::{Listener, ListenerId};
use crate::process::{ErrorInfo, Outcome, Process, ProcessId, ProcessState, Request, Slot, Termination};

/// What can be seen of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The id.
    pub pid: ProcessId,
    /// The registered name.
    pub process: String,
    /// The state.
    pub state: ProcessState,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it was asked to end as killed, and does when the step that runs has ended.
    pub killing: bool,
    /// Committed steps.
    pub steps: u64,
    /// The status text.
    pub text: Option<String>,
    /// Where it stands: the step that runs, ran last or runs next, as [`Outline::position`](crate::outline::Outline::position)
    /// writes it; the step's name in a process of `steps!`. None before the first step, for a process whose type is not
    /// registered here, and for one that has ended in a runtime without a store.
    pub position: Option<String>,
}

/// The link to a process of any type.
#[derive(Clone)]
pub struct AnyHandle {
    pub(super) shared: Arc<Shared>,
    slot: Arc<Slot>,
    process: Arc<str>,
    is_new: bool,
}

/// The link to a process of type `P`. Dropping it changes nothing.
pub struct Handle<P> {
    any: AnyHandle,
    process: PhantomData<fn() -> P>,
}

impl AnyHandle {
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>, process: &str) -> Self {
        Self { shared, slot, process: process.into(), is_new: false }
    }

    /// The same, of a launch that has made the process or has not.
    pub(super) fn launched(self, is_new: bool) -> Self {
        Self { is_new, ..self }
    }

    /// The id of the process.
    pub fn pid(&self) -> &ProcessId {
        &self.slot.pid
    }

    /// The registered name of the process.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Whether the launch that gave this link has made the process: not so where its [key](super::Launching::key), or its id, was
    /// that of a process already, nor for a link that no launch gave.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Waits for the end, and gives it as it is stored.
    ///
    /// # Errors
    /// The process cannot go on in this runtime: it was shut down, the store failed, or the process was parked. Where workers share
    /// the store, also one that was parked elsewhere, and [`NotFound`](RunError::NotFound) for one that was deleted; whoever asks again
    /// when it was unparked is told of its end.
    pub async fn termination(&self) -> Result<Termination, RunError> {
        let Some(sharing) = &self.shared.sharing else { return self.slot.wait().await.clone() };
        tokio::select! {
            biased;
            end = self.slot.wait() => end.clone(),
            error = sharing.aside.seen(self.pid()) => Err(error),
        }
    }

    /// What can be seen of the process now, as of its last boundary.
    ///
    /// # Errors
    /// The store failed.
    pub async fn status(&self) -> Result<Status, RunError> {
        let (pid, process) = (self.pid().clone(), self.process.to_string());
        if let Some(entry) = self.shared.entry(self.pid()) {
            let view = entry.lock().view.clone();
            let (state, paused, killing, steps) = (view.state, view.paused, view.killing, view.steps);
            let (text, position) = (view.status.map(Into::into), entry.process.position(view.at));
            return Ok(Status { pid, process, state, paused, killing, steps, text, position });
        }
        if let Some(store) = self.shared.store() {
            let record = store.load(self.pid()).await?.ok_or_else(|| RunError::NotFound(pid.clone()))?;
            let (state, paused, steps) = (record.state, record.paused, record.steps);
            let known = self.shared.env.registry.named(&record.envelope.process).ok();
            let position = known.zip(step_in(&record.position)).and_then(|(known, step)| known.position(&step));
            let text = record.status.text;
            return Ok(Status { pid, process, state, paused, killing: false, steps, text, position });
        }
        let state = match self.slot.get() {
            Some(Ok(termination)) => termination.ended.state(),
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(RunError::NotFound(pid)),
        };
        Ok(Status { pid, process, state, paused: false, killing: false, steps: 0, text: None, position: None })
    }

    /// Holds the process after the step that runs, if one does. Resolves when the pause is in force, with `true`;
    /// with `false` if the process ended first, or was played.
    ///
    /// The request is durable before anything else happens.
    ///
    /// # Errors
    /// The store failed, or the runtime was shut down.
    /// Where workers share the store, also [`Parked`](RunError::Parked) and [`Unanswered`](RunError::Unanswered).
    pub async fn pause(&self, text: impl Into<String>) -> Result<bool, RunError> {
        let text = Some(text.into()).filter(|text| !text.is_empty());
        self.request(Request::Pause { text }).await
    }

    /// Lets a paused process go on; takes back a pause that is not in force yet.
    ///
    /// # Errors
    /// The store failed, or the runtime was shut down.
    /// Where workers share the store, also [`Parked`](RunError::Parked) and [`Unanswered`](RunError::Unanswered).
    pub async fn play(&self) -> Result<bool, RunError> {
        self.request(Request::Play).await
    }

    /// Starts a process that was [created without being started](super::Launching::unstarted). Resolves when that is stored,
    /// with `true`, also if it was started before; with `false` if it has ended.
    ///
    /// # Errors
    /// The store failed, or the runtime was shut down.
    /// Where workers share the store, also [`Parked`](RunError::Parked) and [`Unanswered`](RunError::Unanswered).
    pub async fn start(&self) -> Result<bool, RunError> {
        self.request(Request::Start).await
    }

    /// Ends the process as killed: at once if it waits or is paused, otherwise at the end of the step that runs. Its
    /// awaited children are killed too. Resolves when it is done, with whether the process is killed.
    ///
    /// # Errors
    /// The store failed, or the runtime was shut down.
    /// Where workers share the store, also [`Parked`](RunError::Parked) and [`Unanswered`](RunError::Unanswered).
    pub async fn kill(&self, text: impl Into<String>) -> Result<bool, RunError> {
        self.request(Request::Kill { text: text.into(), force: false }).await
    }

    /// As [`kill`](Self::kill), but cuts off the step that runs; what it did since the last boundary is lost.
    ///
    /// # Errors
    /// The store failed, or the runtime was shut down.
    /// Where workers share the store, also [`Parked`](RunError::Parked) and [`Unanswered`](RunError::Unanswered).
    pub async fn kill_force(&self, text: impl Into<String>) -> Result<bool, RunError> {
        self.request(Request::Kill { text: text.into(), force: true }).await
    }

    /// Ends the process as excepted, with this error.
    ///
    /// # Errors
    /// The process has ended, the store failed, or the runtime was shut down.
    /// Where workers share the store, also [`Parked`](RunError::Parked) and [`Unanswered`](RunError::Unanswered).
    pub async fn fail(&self, error: ErrorInfo) -> Result<bool, RunError> {
        self.request(Request::Fail { error }).await
    }

    /// Ends the wait of a process for a resume, with a value for the step that follows. A second one is harmless (S30), as
    /// is one to a process that waits for something else alone: nothing changes.
    ///
    /// # Errors
    /// The process does not wait, the value does not fit the step that takes it, the store failed, or the
    /// runtime was shut down. Where workers share the store, also [`Parked`](RunError::Parked) and
    /// [`Unanswered`](RunError::Unanswered).
    pub async fn resume<T: Serialize>(&self, value: T) -> Result<bool, RunError> {
        let value = serde_json::to_value(value).map_err(|error| RunError::ResumeValue {
            pid: self.pid().clone(),
            message: format!("it cannot be written as JSON: {error}"),
        })?;
        self.request(Request::Resume { value }).await
    }

    /// Adds an observer of this process. It is not stored, and is gone with this runtime or when the process ends.
    pub fn add_listener(&self, listener: impl Listener) -> ListenerId {
        let id = self.shared.listen(Some(self.pid()), Arc::new(listener));
        if self.shared.entry(self.pid()).is_none() {
            // It has ended, or is not here: nobody would take the listener away again.
            self.shared.listeners.remove(id);
        }
        id
    }

    /// Removes a listener; whether it was there.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        self.shared.listeners.remove(id)
    }

    pub(super) async fn request(&self, request: Request) -> Result<bool, RunError> {
        let (reply, answer) = oneshot::channel();
        if self.shared.is_closing() {
            return Err(RunError::Closed);
        }
        if let Some(end) = self.slot.get() {
            return ended(self.pid(), end.as_ref().map_err(Clone::clone)?.ended.state(), &request);
        }
        if let Some(store) = self.shared.store() {
            let filing = self.shared.filing.read().await;
            let id = store.request(self.pid(), request.clone()).await?;
            self.shared.expect_reply(id, self.pid(), request, reply);
            drop(filing);
            self.shared.filed.notify_one();
            if self.shared.is_closing() {
                // Nobody may be left to deliver it: the row is for the next runtime.
                self.shared.forget_replies();
            }
        } else {
            let entry = self.shared.entry(self.pid()).ok_or_else(|| RunError::NotFound(self.pid().clone()))?;
            if let Err((mail, why)) = self.shared.post(&entry, Mail { id: None, request, reply: Some(reply) }) {
                return match (why, self.slot.get()) {
                    (Undelivered::Busy, _) => Err(RunError::Busy(self.pid().clone())),
                    (Undelivered::Gone, Some(Ok(end))) => ended(self.pid(), end.ended.state(), &mail.request),
                    (Undelivered::Gone, Some(Err(error))) => Err(error.clone()),
                    (Undelivered::Gone, None) => Err(RunError::Closed),
                };
            }
        }
        answer.await.unwrap_or(Err(RunError::Closed))
    }
}

/// What a request gets from a process that has ended (S49, S56, S58).
pub(super) fn ended(pid: &ProcessId, state: ProcessState, request: &Request) -> Result<bool, RunError> {
    let refuse = |request| Err(RunError::InvalidState { pid: pid.clone(), state, request });
    match request {
        Request::Pause { .. } | Request::Start => Ok(false),
        Request::Play => Ok(true),
        Request::Kill { .. } => Ok(state == ProcessState::Killed),
        Request::Resume { .. } => refuse("resume"),
        Request::Fail { .. } => refuse("fail"),
    }
}

impl<P: Process> Handle<P> {
    pub(super) fn new(any: AnyHandle) -> Self {
        Self { any, process: PhantomData }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// As [`termination`](AnyHandle::termination); or the outputs do not fit the type.
    pub async fn outcome(&self) -> Result<Outcome<P>, RunError> {
        Outcome::from_termination(&self.any.termination().await?).map_err(RunError::Outputs)
    }

    /// The same without its type.
    pub fn any(&self) -> &AnyHandle {
        &self.any
    }
}

impl<P> Deref for Handle<P> {
    type Target = AnyHandle;

    fn deref(&self) -> &AnyHandle {
        &self.any
    }
}

impl<P> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self { any: self.any.clone(), process: PhantomData }
    }
}

impl fmt::Debug for AnyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("pid", self.pid()).field("process", &self.process).finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for Handle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any.fmt(f)
    }
}
