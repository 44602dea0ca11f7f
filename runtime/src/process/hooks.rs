//! Hooks: methods of a process that the runner calls around transitions.

use serde_json::Value;

use super::{BoxError, Cx, Ended, ErrorInfo, ProcessId, ProcessState};
use crate::spec::Spec;

/// A transition as hooks and listeners see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition<'a> {
    /// The process.
    pub pid: &'a ProcessId,
    /// The state before; none at creation.
    pub from: Option<ProcessState>,
    /// The state after.
    pub to: ProcessState,
}

/// Hooks of a process. Write `#[process(hooks)]` to implement this by hand; without it there is an empty implementation.
///
/// All have defaults, and none needs to call another. A transition calls, in this order (S37, S38):
///
/// 1. before the commit: [`on_exiting`](Self::on_exiting), [`on_exit_running`](Self::on_exit_running) or
///    [`on_exit_waiting`](Self::on_exit_waiting), [`on_entering`](Self::on_entering), and the one of the state:
///    [`on_create`](Self::on_create), [`on_run`](Self::on_run), [`on_wait`](Self::on_wait),
///    [`on_finish`](Self::on_finish), [`on_except`](Self::on_except) or [`on_kill`](Self::on_kill);
/// 2. the commit;
/// 3. after it: [`on_entered`](Self::on_entered), the one of the state ([`on_running`](Self::on_running) and so on), and
///    then the listeners; at an end also [`on_terminated`](Self::on_terminated), the cleanups and
///    [`on_close`](Self::on_close).
///
/// Outputs of a step call [`on_output_emitting`](Self::on_output_emitting) before all of these, and
/// [`on_output_emitted`](Self::on_output_emitted) after the commit, before `on_entered`.
///
/// Hooks are synchronous and must not block. Those before the commit may run again after a crash; those after it run at
/// most once. An error before the commit makes the process excepted, and the state that was refused is never seen; an
/// error in `on_create` refuses the launch. An error in [`on_except`](Self::on_except), or on the way there, is logged:
/// the process ends with the error that it had. A panic is as an error before the commit, and is logged after it.
///
/// What a hook changes in the fields is saved with the next step that ends well; what `on_create` changes is saved at once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `impl Hooks`",
    label = "`#[process(hooks)]` asks for it: write `impl Hooks for {Self} {{ … }}` with the hooks that you need"
)]
pub trait Hooks {
    /// Whether there are any, so that processes without hooks pay nothing.
    const ENABLED: bool = true;

    /// The process is in memory: it was created, or loaded from a store. The place to fill fields that are not saved.
    ///
    /// A panic in it parks a process that is loaded. A snapshot is tried out with it before the process goes back to it.
    fn on_init(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// The present state is about to be left.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_exiting(&mut self, cx: &Cx<Self>, transition: Transition<'_>) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = (cx, transition);
        Ok(())
    }

    /// Running is about to be left.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_exit_running(&mut self, cx: &Cx<Self>) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = cx;
        Ok(())
    }

    /// Waiting is about to be left.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_exit_waiting(&mut self, cx: &Cx<Self>) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = cx;
        Ok(())
    }

    /// A state is about to be entered; not stored yet.
    ///
    /// # Errors
    /// Makes the process excepted; refuses the launch where the state is created.
    fn on_entering(&mut self, cx: &Cx<Self>, transition: Transition<'_>) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = (cx, transition);
        Ok(())
    }

    /// The process is about to exist. It may run for a launch that then finds its key taken.
    ///
    /// # Errors
    /// Refuses the launch; the launch of a child fails the step of its parent.
    fn on_create(&mut self, cx: &Cx<Self>) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = cx;
        Ok(())
    }

    /// Running is about to be entered.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_run(&mut self, cx: &Cx<Self>) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = cx;
        Ok(())
    }

    /// Waiting is about to be entered, for a resume with this text, or for children or a time.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_wait(&mut self, cx: &Cx<Self>, text: Option<&str>) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = (cx, text);
        Ok(())
    }

    /// Finished is about to be entered, normally or with an exit code. The outputs were validated before: a normal end
    /// without a required output has become the exit code [`MISSING_OUTPUT`](crate::spec::MISSING_OUTPUT) (S43).
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_finish(&mut self, cx: &Cx<Self>, ended: &Ended) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = (cx, ended);
        Ok(())
    }

    /// Excepted is about to be entered.
    ///
    /// # Errors
    /// Is logged; the process is excepted all the same.
    fn on_except(&mut self, cx: &Cx<Self>, error: &ErrorInfo) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = (cx, error);
        Ok(())
    }

    /// Killed is about to be entered.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_kill(&mut self, cx: &Cx<Self>, text: &str) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = (cx, text);
        Ok(())
    }

    /// A state was entered and stored.
    fn on_entered(&mut self, cx: &Cx<Self>, transition: Transition<'_>)
    where
        Self: Spec,
    {
        let _ = (cx, transition);
    }

    /// Running was entered and stored.
    fn on_running(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// Waiting was entered and stored.
    fn on_waiting(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// Finished was entered and stored.
    fn on_finished(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// Excepted was entered and stored.
    fn on_excepted(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// Killed was entered and stored.
    fn on_killed(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// An output is about to be stored.
    ///
    /// # Errors
    /// Makes the process excepted.
    fn on_output_emitting(&mut self, cx: &Cx<Self>, port: &str, value: &Value) -> Result<(), BoxError>
    where
        Self: Spec,
    {
        let _ = (cx, port, value);
        Ok(())
    }

    /// An output was stored.
    fn on_output_emitted(&mut self, cx: &Cx<Self>, port: &str, value: &Value)
    where
        Self: Spec,
    {
        let _ = (cx, port, value);
    }

    /// The process is about to be paused, with a text for people if there is one.
    fn on_pausing(&mut self, cx: &Cx<Self>, text: Option<&str>)
    where
        Self: Spec,
    {
        let _ = (cx, text);
    }

    /// The process was paused, and that is stored.
    fn on_paused(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// The process is about to be played.
    fn on_playing(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// The process was played, and that is stored.
    fn on_played(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// A terminal state was entered and stored.
    fn on_terminated(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }

    /// The last call to the process: its cleanups have run, and it is about to be dropped.
    fn on_close(&mut self, cx: &Cx<Self>)
    where
        Self: Spec,
    {
        let _ = cx;
    }
}
