//! Waiting for the end of a process elsewhere.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{ControlError, RemoteProcessController, reply};
use crate::communicator::{BroadcastFilter, Communicator, CommunicatorError, Deadlines};
use crate::limits;
use crate::message::Broadcast;
use crate::process::{ProcessId, ProcessState};

impl RemoteProcessController {
    /// Waits until a process has ended, and tells how: its state, but neither outputs nor error, which broadcasts do not
    /// carry; [`continue_process`](Self::continue_process) to a Rust worker gives those.
    ///
    /// The process announces its end to all. Since an announcement can be lost while a connection is, its status is asked for
    /// from time to time as well.
    ///
    /// # Errors
    /// [`NotAlive`](ControlError::NotAlive) if nobody answers under the id, and no announcement has come: the process has ended
    /// unheard, or its worker is gone, and another may bring it back. [`Timeout`](ControlError::Timeout) if it has not ended in
    /// this time. Or the communicator failed.
    pub async fn wait_for_end(
        &self,
        pid: impl Into<ProcessId>,
        within: Duration,
    ) -> Result<ProcessState, ControlError> {
        let pid = pid.into();
        let timed_out = ControlError::Timeout { what: "the process", within };
        timeout(within, self.end_of(&pid)).await.unwrap_or(Err(timed_out))
    }

    async fn end_of(&self, pid: &ProcessId) -> Result<ProcessState, ControlError> {
        // Listens before it asks: an end in between is heard.
        let mut announced = Announced::listen(&self.communicator, pid).await?;
        loop {
            let asked = tokio::select! {
                biased;
                state = announced.ended() => return Ok(state),
                asked = self.status_soon(pid) => asked,
            };
            match asked {
                Ok(Some(state)) if state.is_terminal() => return Ok(state),
                // What was announced before nobody answered any more may still be on its way. The worker refuses a call that
                // comes before the broker has heard of that.
                Err(error @ (ControlError::NotAlive(_) | ControlError::Remote(_))) => {
                    return timeout(limits::ANNOUNCED, announced.ended()).await.map_err(|_| error);
                }
                // A process in a long step, or a worker that is away for a moment: ask again.
                Ok(_) | Err(ControlError::Timeout { .. } | ControlError::Disconnected(_)) => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                biased;
                state = announced.ended() => return Ok(state),
                () = self.communicator.closed() => return Err(CommunicatorError::Closed.into()),
                () = sleep(self.status_poll) => {}
            }
        }
    }

    /// The state of a process, if it tells it soon.
    async fn status_soon(&self, pid: &ProcessId) -> Result<Option<ProcessState>, ControlError> {
        let reply = self.calls.reply.min(self.status_poll);
        let asking = self.clone().with_call_deadlines(Deadlines { reply, ..self.calls });
        Ok(asking.get_status(pid.clone()).await?.state)
    }
}

/// The announcements of a process's end. They are heard no more when it is dropped.
struct Announced {
    communicator: Arc<dyn Communicator>,
    identifier: String,
    ended: watch::Receiver<Option<ProcessState>>,
}

impl Announced {
    async fn listen(communicator: &Arc<dyn Communicator>, pid: &ProcessId) -> Result<Self, ControlError> {
        let (tell, ended) = watch::channel(None);
        let mut filter = BroadcastFilter::all().sender(pid);
        for state in ProcessState::ALL.into_iter().filter(|state| state.is_terminal()) {
            filter = filter.subject(format!("state_changed.*.{state}"));
        }
        let own = pid.clone();
        let hear = move |broadcast: Arc<Broadcast>| {
            // A filter lets pass what has no sender.
            let from = broadcast.sender.as_pid().is_some_and(|sender| sender == own);
            let state = broadcast.subject.as_deref().and_then(reply::state_of).filter(|state| state.is_terminal());
            if let (true, Some(state)) = (from, state) {
                tell.send_replace(Some(state));
            }
            async {}
        };
        let identifier = communicator.add_broadcast_subscriber(Arc::new(hear), filter, None).await?;
        Ok(Self { communicator: Arc::clone(communicator), identifier, ended })
    }

    /// The end, when it is announced.
    async fn ended(&mut self) -> ProcessState {
        if let Ok(state) = self.ended.wait_for(Option::is_some).await
            && let Some(state) = *state
        {
            return state;
        }
        // The communicator has dropped the subscriber: nothing will be heard any more.
        std::future::pending().await
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let (communicator, identifier) = (Arc::clone(&self.communicator), std::mem::take(&mut self.identifier));
        // Outside of a runtime the communicator is about to end, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = communicator.remove_broadcast_subscriber(&identifier).await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a subscriber was not removed");
                }
            });
        }
    }
}
