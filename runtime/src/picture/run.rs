//! A run, as a store knows it, to be laid over the picture of its process.

use super::trace::Trace;
use super::words::{clean, counted, instant, span};
use crate::clock::Timestamp;
use crate::process::{Ended, ProcessState};
use crate::runner::step_in;
use crate::spec::ExitCode;
use crate::store::{Awaiting, HistoryEntry, Look, Record};

/// A run of a process: what its row and its history in a store tell.
///
/// How long a step took is counted from boundary to boundary, so a pause or an outage in a step counts, too.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) state: ProcessState,
    pub(super) trace: Trace,
    /// The step at which it stands, or ended; none if it has not begun or has ended normally.
    pub(super) point: Option<String>,
    pub(super) ended: Option<Ended>,
    pub(super) steps: u64,
    paused: bool,
    parked: Option<String>,
    unattended: Option<String>,
    awaiting: Awaiting,
    open_children: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    now: Option<Timestamp>,
}

/// How a step, an end or a process stands; each has a colour and a sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// Has not been reached.
    #[default]
    Ahead,
    Done,
    Running,
    Waiting,
    Paused,
    /// Would run, but nobody is known to run it.
    Stalled,
    /// Ended with an exit code.
    Exited,
    Failed,
    Killed,
}

impl Mark {
    #[cfg(test)]
    pub(super) const ALL: [Self; 9] = [
        Self::Ahead,
        Self::Done,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Stalled,
        Self::Exited,
        Self::Failed,
        Self::Killed,
    ];

    /// One word, also the name of its class.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Done => "done",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Stalled => "stalled",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Killed => "killed",
        }
    }
}

impl Run {
    /// The run that a store has under a record, with its history, oldest row first.
    ///
    /// Where the store has dropped the first rows, the picture says that its numbers are at least these.
    pub fn new(record: &Record, history: &[HistoryEntry]) -> Self {
        Self::seen(&Look::from(record), history)
    }

    /// The same of a process that was [looked](crate::store::Store::look) at.
    pub fn seen(look: &Look, history: &[HistoryEntry]) -> Self {
        let trace = Trace::of(history, look.steps);
        let ended: Option<Ended> = look.ended.as_deref().and_then(|ended| serde_json::from_str(ended).ok());
        Self {
            state: look.state,
            point: point(look, ended.as_ref(), &trace),
            trace,
            ended,
            steps: look.steps,
            paused: look.paused,
            parked: look.parked.as_deref().map(clean),
            unattended: None,
            awaiting: look.awaiting.clone(),
            open_children: look.open_children,
            created_at: look.created_at,
            updated_at: look.updated_at,
            now: None,
        }
    }

    /// As it is at this time: what runs or waits is told with how long it has done so, instead of since when.
    pub fn as_of(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// That nobody is known to run it, and why: its worker was not heard from. It is not drawn as running then.
    pub fn unattended(mut self, why: &str) -> Self {
        self.unattended = Some(clean(why));
        self
    }

    /// How the process stands.
    pub(super) fn mark(&self) -> Mark {
        match self.state {
            ProcessState::Finished if self.exit().is_some() => Mark::Exited,
            ProcessState::Finished => Mark::Done,
            ProcessState::Excepted => Mark::Failed,
            ProcessState::Killed => Mark::Killed,
            _ if self.parked.is_some() => Mark::Stalled,
            _ if self.paused => Mark::Paused,
            ProcessState::Waiting => Mark::Waiting,
            _ if self.unattended.is_some() => Mark::Stalled,
            ProcessState::Created => Mark::Ahead,
            ProcessState::Running => Mark::Running,
        }
    }

    /// The exit code that it ended with.
    pub(super) fn exit(&self) -> Option<&ExitCode> {
        match &self.ended {
            Some(Ended::Exited { exit }) => Some(exit),
            _ => None,
        }
    }

    /// What is to be said of the step at which it stands.
    pub(super) fn told_there(&self) -> String {
        let seen = self.point.as_ref().and_then(|point| self.trace.get(point));
        let began = seen.and_then(|seen| seen.since).unwrap_or(self.updated_at);
        let waits = self.trace.waits().and_then(|seen| seen.waiting).unwrap_or(self.updated_at);
        match self.mark() {
            Mark::Running => format!("running {}", self.lasting(began)),
            Mark::Waiting => format!("waiting {}{}", self.waits_for(), self.lasting(waits)),
            Mark::Paused if self.state == ProcessState::Waiting => {
                format!("paused {}, waiting {}", self.lasting(self.updated_at), self.waits_for())
                    .trim_end_matches([' ', ','])
                    .to_owned()
            }
            Mark::Paused => format!("paused before it {}", self.lasting(self.updated_at)),
            Mark::Stalled => self.parked.as_ref().or(self.unattended.as_ref()).cloned().unwrap_or_default(),
            Mark::Failed | Mark::Killed => self.reason(),
            Mark::Ahead | Mark::Done | Mark::Exited => String::new(),
        }
    }

    /// Why it failed or was killed.
    fn reason(&self) -> String {
        match &self.ended {
            Some(Ended::Excepted { error }) => {
                let mut reason = clean(&error.message);
                for cause in &error.causes {
                    reason.push_str(": ");
                    reason.push_str(&clean(cause));
                }
                let panicked = if error.panicked { "panicked: " } else { "" };
                let after = if error.step.is_none() { "after it: " } else { "" };
                clean(&format!("{after}{panicked}{reason}"))
            }
            Some(Ended::Killed { text }) if !text.is_empty() => clean(text),
            Some(Ended::Killed { .. }) => "killed".to_owned(),
            _ => "how it ended cannot be read".to_owned(),
        }
    }

    /// `for 2 of 3 children and until …, `.
    fn waits_for(&self) -> String {
        let mut reasons = Vec::new();
        let others = self.awaiting.wake_at.is_some() || self.awaiting.resume.is_some();
        if self.open_children > 0 || !self.awaiting.children.is_empty() && !others {
            let all = self.awaiting.children.len() as u64;
            let children = counted(all, "child", "children");
            reasons.push(match self.open_children {
                open if open == all => format!("for {children}"),
                open => format!("for {open} of {children}"),
            });
        }
        if let Some(wake_at) = self.awaiting.wake_at {
            reasons.push(match self.now {
                Some(now) if now < wake_at => format!("for {} more", span(wake_at.since(now))),
                _ => format!("until {}", instant(wake_at)),
            });
        }
        match self.awaiting.resume.as_deref().map(clean) {
            Some(text) if text.is_empty() => reasons.push("for a resume".to_owned()),
            Some(text) => reasons.push(format!("for a resume: {text}")),
            None => {}
        }
        if reasons.is_empty() { String::new() } else { reasons.join(" and ") + ", " }
    }

    fn lasting(&self, since: Timestamp) -> String {
        match self.now {
            Some(now) => format!("for {}", span(now.since(since))),
            None => format!("since {}", instant(since)),
        }
    }

    /// The state of the whole, in some short sentences.
    pub(super) fn headline(&self) -> Vec<String> {
        let mut told = vec![match (&self.ended, self.mark()) {
            // Why, stands at the step.
            (_, mark @ (Mark::Failed | Mark::Killed)) if self.point.is_some() => {
                if mark == Mark::Failed { "excepted" } else { "killed" }.to_owned()
            }
            (Some(Ended::Exited { exit }), _) => clean(&format!("finished with exit code {exit}")),
            (Some(ended), _) => clean(&ended.to_string()),
            (None, Mark::Ahead) => "created".to_owned(),
            (None, Mark::Stalled) if self.parked.is_some() => format!("parked: {}", self.told_there()),
            (None, Mark::Stalled) => format!("not running: {}", self.told_there()),
            (None, Mark::Paused) => format!("paused, {}", self.state),
            (None, _) => self.state.to_string(),
        }];
        told.push(counted(self.steps, "step", "steps"));
        told.push(match self.now {
            _ if self.state.is_terminal() => format!("took {}", span(self.updated_at.since(self.created_at))),
            Some(now) => format!("created {} ago", span(now.since(self.created_at))),
            None => format!("created {}", instant(self.created_at)),
        });
        told
    }
}

/// The step at which a process stands, or ended.
fn point(look: &Look, ended: Option<&Ended>, trace: &Trace) -> Option<String> {
    let at = || step_in(&look.position).as_deref().map(clean);
    let last = || trace.last.map(|index| trace.steps[index].point.clone());
    match look.state {
        ProcessState::Created | ProcessState::Finished => None,
        ProcessState::Excepted => {
            let failed = match ended {
                Some(Ended::Excepted { error }) => error.step.as_deref().map(clean),
                _ => None,
            };
            failed.or_else(last).or_else(at)
        }
        // One that is resumed at another step than it waits after is stored at that one.
        ProcessState::Waiting => trace.waits().map(|seen| seen.point.clone()).or_else(at),
        ProcessState::Running | ProcessState::Killed => at(),
    }
}
