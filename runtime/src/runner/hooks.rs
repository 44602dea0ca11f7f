//! The hooks of a process in memory, called without its type, in the order of S37.

use serde_json::Value;

use super::caught::caught;
use super::entry::Resident;
use super::instance::{Instance, Live};
use super::listeners::tell_one;
use super::shared::Shared;
use crate::listener::Listener;
use crate::process::{BoxError, Ended, ErrorInfo, Process, ProcessId, ProcessState, Transition};

/// The state that is about to be entered, with what its hook is told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entering<'a> {
    Created,
    Running,
    Waiting { text: Option<&'a str> },
    Ended(&'a Ended),
}

impl Entering<'_> {
    pub(crate) fn state(self) -> ProcessState {
        match self {
            Self::Created => ProcessState::Created,
            Self::Running => ProcessState::Running,
            Self::Waiting { .. } => ProcessState::Waiting,
            Self::Ended(ended) => ended.state(),
        }
    }
}

/// [`Hooks`] as an object.
pub(crate) trait ErasedHooks {
    fn init(&mut self);
    fn exiting(&mut self, transition: Transition<'_>) -> Result<(), ErrorInfo>;
    fn entering(&mut self, transition: Transition<'_>, state: Entering<'_>) -> Result<(), ErrorInfo>;
    fn entered(&mut self, transition: Transition<'_>);
    /// The hook of the state that was entered.
    fn in_state(&mut self, state: ProcessState);
    fn output_emitting(&mut self, port: &str, value: &Value) -> Result<(), ErrorInfo>;
    fn output_emitted(&mut self, port: &str, value: &Value);
    fn pausing(&mut self, text: Option<&str>);
    fn paused(&mut self);
    fn playing(&mut self);
    fn played(&mut self);
    fn terminated(&mut self);
    fn close(&mut self);
}

impl<P: Process> ErasedHooks for Instance<P> {
    fn init(&mut self) {
        self.process.on_init(&self.cx);
    }

    fn exiting(&mut self, transition: Transition<'_>) -> Result<(), ErrorInfo> {
        let (process, cx) = (&mut self.process, &self.cx);
        let mut hooks = || -> Result<(), BoxError> {
            process.on_exiting(cx, transition)?;
            match transition.from {
                Some(ProcessState::Running) => process.on_exit_running(cx),
                Some(ProcessState::Waiting) => process.on_exit_waiting(cx),
                _ => Ok(()),
            }
        };
        hooks().map_err(|error| ErrorInfo::from_error(&*error))
    }

    fn entering(&mut self, transition: Transition<'_>, state: Entering<'_>) -> Result<(), ErrorInfo> {
        let (process, cx) = (&mut self.process, &self.cx);
        let mut hooks = || -> Result<(), BoxError> {
            process.on_entering(cx, transition)?;
            match state {
                Entering::Created => process.on_create(cx),
                Entering::Running => process.on_run(cx),
                Entering::Waiting { text } => process.on_wait(cx, text),
                Entering::Ended(Ended::Excepted { error }) => process.on_except(cx, error),
                Entering::Ended(Ended::Killed { text }) => process.on_kill(cx, text),
                Entering::Ended(ended) => process.on_finish(cx, ended),
            }
        };
        hooks().map_err(|error| ErrorInfo::from_error(&*error))
    }

    fn entered(&mut self, transition: Transition<'_>) {
        self.process.on_entered(&self.cx, transition);
    }

    fn in_state(&mut self, state: ProcessState) {
        let (process, cx) = (&mut self.process, &self.cx);
        match state {
            ProcessState::Created => {}
            ProcessState::Running => process.on_running(cx),
            ProcessState::Waiting => process.on_waiting(cx),
            ProcessState::Finished => process.on_finished(cx),
            ProcessState::Excepted => process.on_excepted(cx),
            ProcessState::Killed => process.on_killed(cx),
        }
    }

    fn output_emitting(&mut self, port: &str, value: &Value) -> Result<(), ErrorInfo> {
        self.process.on_output_emitting(&self.cx, port, value).map_err(|error| ErrorInfo::from_error(&*error))
    }

    fn output_emitted(&mut self, port: &str, value: &Value) {
        self.process.on_output_emitted(&self.cx, port, value);
    }

    fn pausing(&mut self, text: Option<&str>) {
        self.process.on_pausing(&self.cx, text);
    }

    fn paused(&mut self) {
        self.process.on_paused(&self.cx);
    }

    fn playing(&mut self) {
        self.process.on_playing(&self.cx);
    }

    fn played(&mut self) {
        self.process.on_played(&self.cx);
    }

    fn terminated(&mut self) {
        self.process.on_terminated(&self.cx);
    }

    fn close(&mut self) {
        self.process.on_close(&self.cx);
    }
}

/// Runs the hooks before a transition. Where one refuses it, gives the error that the process ends with instead.
///
/// A process that is about to be excepted cannot be refused that: it ends with the error that it had (S8 would hand the
/// second error to whoever drives the process, and leave it where it was).
pub(crate) fn hooks_before(resident: &mut Resident, pid: &ProcessId, state: Entering<'_>) -> Result<(), ErrorInfo> {
    let Some(hooks) = resident.live.hooks() else { return Ok(()) };
    let transition = Transition { pid, from: Some(resident.committed), to: state.state() };
    let told = caught(|| hooks.exiting(transition).and_then(|()| hooks.entering(transition, state)));
    let Err(error) = told.unwrap_or_else(Err) else { return Ok(()) };
    if let Entering::Ended(Ended::Excepted { .. }) = state {
        tracing::error!(%pid, %error, "a hook failed on the way to excepted");
        return Ok(());
    }
    let ended = Ended::Excepted { error };
    excepting(resident, pid, &ended);
    let Ended::Excepted { error } = ended else { return Ok(()) };
    Err(error)
}

/// Runs the hooks before excepted where those of leaving the state have run: another state was to be entered.
pub(crate) fn excepting(resident: &mut Resident, pid: &ProcessId, ended: &Ended) {
    let transition = Transition { pid, from: Some(resident.committed), to: ProcessState::Excepted };
    let Some(hooks) = resident.live.hooks() else { return };
    if let Err(error) = caught(|| hooks.entering(transition, Entering::Ended(ended))).unwrap_or_else(Err) {
        tracing::error!(%pid, %error, "a hook failed on the way to excepted");
    }
}

/// Runs the hooks before a process exists; an error refuses it.
pub(crate) fn creating(live: &mut dyn Live, pid: &ProcessId) -> Result<(), ErrorInfo> {
    let Some(hooks) = live.hooks() else { return Ok(()) };
    let transition = Transition { pid, from: None, to: ProcessState::Created };
    let entering = || caught(|| hooks.entering(transition, Entering::Created)).unwrap_or_else(Err);
    super::CURRENT.sync_scope(pid.clone(), entering)
}

/// Tells that a process exists (S19): hooks, listeners, and then `on_init`.
pub(crate) fn created(shared: &Shared, resident: &mut Resident, pid: &ProcessId) {
    let transition = Transition { pid, from: None, to: ProcessState::Created };
    let at = resident.live.at();
    let tell = |listener: &dyn Listener| {
        listener.on_transition(transition, at);
        listener.on_created(pid);
    };
    super::CURRENT.sync_scope(pid.clone(), || {
        if let Some(hooks) = resident.live.hooks() {
            logged(pid, caught(|| hooks.entered(transition)));
        }
        shared.listeners.tell(pid, tell);
        resident.listeners().iter().for_each(|attached| tell_one(&*attached.listener, pid, tell));
        if let Some(hooks) = resident.live.hooks() {
            logged(pid, caught(|| hooks.init()));
        }
    });
}

/// A hook that panics after the commit changes nothing any more.
pub(crate) fn logged(pid: &ProcessId, hook: Result<(), ErrorInfo>) {
    if let Err(panic) = hook {
        tracing::error!(%pid, %panic, "a hook panicked");
    }
}
