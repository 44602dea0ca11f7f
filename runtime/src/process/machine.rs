//! The state machine: takes an event, gives an action. Pure: no clock, no store, no task.
//!
//! Requests are handled in order, and the strongest of those that wait for a step to end wins: a kill beats a pause,
//! whichever came first (S52 and S53 without their quirks).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ErrorInfo, ProcessState};

/// What is asked of a process from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Request {
    /// Hold after the present step, with a text for people.
    Pause {
        /// Replaces the status text until the process is played (S54).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Go on.
    Play,
    /// Run, if it was created to be started later.
    Start,
    /// End as killed.
    Kill {
        /// Why.
        #[serde(default)]
        text: String,
        /// Cut off a step that runs.
        #[serde(default)]
        force: bool,
    },
    /// End the wait for a resume.
    Resume {
        /// What the next step gets.
        #[serde(default)]
        value: Value,
    },
    /// End as excepted.
    Fail {
        /// Why.
        error: ErrorInfo,
    },
}

/// What happens to a process.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step begins: the process enters running from created, waiting or running.
    Begin,
    /// The step has ended and the process would enter this state.
    End(ProcessState),
    /// Something is asked.
    Request(Request),
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Enter the state; nothing was asked that would change it.
    Enter(ProcessState),
    /// Enter the state and be paused there.
    EnterPaused(ProcessState, Option<String>),
    /// Be paused now.
    Pause(Option<String>),
    /// Be played now.
    Play,
    /// Enter killed now; a step that runs is cut off.
    Kill(String),
    /// Enter excepted now; a step that runs is cut off.
    Fail(ErrorInfo),
    /// The wait for a resume is over.
    Resume(Value),
    /// Remembered until the step ends.
    Later,
    /// Nothing to do; whether what was asked for holds.
    Nothing(bool),
    /// Not possible in this state.
    Refuse(ProcessState),
}

/// What waits for a step to end, weakest first.
#[derive(Debug, Clone, PartialEq)]
enum Pending {
    Pause(Option<String>),
    Kill(String),
}

/// The state of one process, and what is asked of it while a step runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    state: ProcessState,
    paused: bool,
    stepping: bool,
    /// Seldom there, so it takes no room in a process at rest.
    pending: Option<Box<Pending>>,
    wants_resume: bool,
}

impl Machine {
    /// A machine in this state.
    pub fn new(state: ProcessState, paused: bool) -> Self {
        Self { state, paused, stepping: false, pending: None, wants_resume: false }
    }

    /// The state.
    pub fn state(&self) -> ProcessState {
        self.state
    }

    /// Whether it is paused: no step begins.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a step runs.
    pub fn is_stepping(&self) -> bool {
        self.stepping
    }

    /// Whether a pause or a kill waits for the step to end.
    pub fn is_interrupted(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a kill waits for the step to end.
    pub fn is_killing(&self) -> bool {
        matches!(self.pending.as_deref(), Some(Pending::Kill(_)))
    }

    /// The text of the kill that waits for the step to end.
    pub fn kill_text(&self) -> Option<&str> {
        match self.pending.as_deref() {
            Some(Pending::Kill(text)) => Some(text),
            _ => None,
        }
    }

    /// Says whether the process waits for a resume.
    pub fn set_wants_resume(&mut self, wants: bool) {
        self.wants_resume = wants;
    }

    /// Takes an event.
    pub fn apply(&mut self, event: Event) -> Action {
        match event {
            Event::Begin if self.stepping || self.paused => Action::Refuse(self.state),
            Event::Begin => match self.enter(ProcessState::Running) {
                Ok(()) => {
                    self.stepping = true;
                    Action::Enter(self.state)
                }
                Err(refused) => refused,
            },
            Event::End(_) if !self.stepping => Action::Refuse(self.state),
            Event::End(to) => self.end(to),
            Event::Request(request) => self.request(request),
        }
    }

    fn enter(&mut self, to: ProcessState) -> Result<(), Action> {
        if !self.state.can_go_to(to) {
            return Err(Action::Refuse(self.state));
        }
        self.state = to;
        self.wants_resume = false;
        Ok(())
    }

    fn end(&mut self, to: ProcessState) -> Action {
        self.stepping = false;
        match self.pending.take().map(|pending| *pending) {
            // An exception in the step wins over what was asked meanwhile (S51).
            Some(Pending::Kill(text)) if to != ProcessState::Excepted => {
                self.enter(ProcessState::Killed).err().unwrap_or(Action::Kill(text))
            }
            Some(Pending::Pause(text)) if !to.is_terminal() => {
                self.paused = true;
                self.enter(to).err().unwrap_or(Action::EnterPaused(to, text))
            }
            _ => self.enter(to).err().unwrap_or(Action::Enter(to)),
        }
    }

    fn request(&mut self, request: Request) -> Action {
        let terminal = self.state.is_terminal();
        match request {
            Request::Pause { .. } if terminal => Action::Nothing(false),
            Request::Pause { .. } if self.paused => Action::Nothing(true),
            Request::Pause { text } if self.stepping => {
                // A pause does not take a kill back, and one more does not change the text of the first (S49).
                self.pending.get_or_insert_with(|| Box::new(Pending::Pause(text)));
                Action::Later
            }
            Request::Pause { text } => {
                self.paused = true;
                Action::Pause(text)
            }
            Request::Play if matches!(self.pending.as_deref(), Some(Pending::Pause(_))) => {
                self.pending = None;
                Action::Nothing(true)
            }
            Request::Play if self.paused && !terminal => {
                self.paused = false;
                Action::Play
            }
            Request::Play => Action::Nothing(true),
            // Whether it was started before is a matter of its place, which the machine does not know.
            Request::Start => Action::Nothing(!terminal),
            Request::Kill { .. } if terminal => Action::Nothing(self.state == ProcessState::Killed),
            Request::Kill { text, force: false } if self.stepping => {
                self.pending = Some(Box::new(Pending::Kill(text)));
                Action::Later
            }
            Request::Kill { text, .. } => self.cut(ProcessState::Killed).unwrap_or(Action::Kill(text)),
            Request::Fail { .. } if terminal => Action::Refuse(self.state),
            Request::Fail { error } => self.cut(ProcessState::Excepted).unwrap_or(Action::Fail(error)),
            Request::Resume { .. } if self.state != ProcessState::Waiting => Action::Refuse(self.state),
            // The second of two resumes finds the first one's value in place (S30).
            Request::Resume { .. } if !self.wants_resume => Action::Nothing(true),
            Request::Resume { value } => {
                self.wants_resume = false;
                Action::Resume(value)
            }
        }
    }

    fn cut(&mut self, to: ProcessState) -> Option<Action> {
        self.stepping = false;
        self.pending = None;
        self.enter(to).err()
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessState::{Created, Excepted, Finished, Killed, Running, Waiting};
    use super::*;

    fn pause() -> Event {
        Event::Request(Request::Pause { text: None })
    }

    fn kill(force: bool) -> Event {
        Event::Request(Request::Kill { text: "why".into(), force })
    }

    fn play() -> Event {
        Event::Request(Request::Play)
    }

    #[track_caller]
    fn check(events: Vec<Event>, last: &Action, state: ProcessState, paused: bool) {
        let mut machine = Machine::new(Created, false);
        let mut action = Action::Later;
        for event in events {
            action = machine.apply(event);
        }
        assert_eq!((&action, machine.state(), machine.is_paused()), (last, state, paused));
    }

    #[test]
    fn requests_at_rest_act_at_once() {
        check(vec![pause()], &Action::Pause(None), Created, true);
        check(vec![pause(), pause()], &Action::Nothing(true), Created, true);
        check(vec![pause(), play()], &Action::Play, Created, false);
        check(vec![pause(), Event::Begin], &Action::Refuse(Created), Created, true);
        check(vec![kill(false)], &Action::Kill("why".into()), Killed, false);
        check(vec![pause(), kill(false)], &Action::Kill("why".into()), Killed, true);
        check(vec![kill(false), kill(true)], &Action::Nothing(true), Killed, false);
        check(vec![kill(false), pause()], &Action::Nothing(false), Killed, false);
    }

    #[test]
    fn the_first_of_two_pauses_counts() {
        let pause = |text: &str| Event::Request(Request::Pause { text: Some(text.into()) });
        let first = Action::EnterPaused(Waiting, Some("first".into()));
        check(vec![Event::Begin, pause("first"), pause("second"), Event::End(Waiting)], &first, Waiting, true);
    }

    #[test]
    fn requests_in_a_step_wait_for_its_end_and_the_strongest_wins() {
        let end = |to| Event::End(to);
        check(vec![Event::Begin, pause(), end(Waiting)], &Action::EnterPaused(Waiting, None), Waiting, true);
        check(vec![Event::Begin, pause(), end(Finished)], &Action::Enter(Finished), Finished, false);
        check(vec![Event::Begin, pause(), play(), end(Running)], &Action::Enter(Running), Running, false);
        check(vec![Event::Begin, pause(), kill(false), end(Running)], &Action::Kill("why".into()), Killed, false);
        check(vec![Event::Begin, kill(false), pause(), end(Running)], &Action::Kill("why".into()), Killed, false);
        check(vec![Event::Begin, kill(false), play(), end(Finished)], &Action::Kill("why".into()), Killed, false);
        check(vec![Event::Begin, kill(false), end(Excepted)], &Action::Enter(Excepted), Excepted, false);
        check(vec![Event::Begin, kill(true)], &Action::Kill("why".into()), Killed, false);
        check(vec![Event::Begin, kill(true), end(Running)], &Action::Refuse(Killed), Killed, false);
    }

    #[test]
    fn a_resume_counts_once_and_only_while_waiting() {
        let resume = || Event::Request(Request::Resume { value: Value::from(1) });
        let mut machine = Machine::new(Running, false);
        assert_eq!(machine.apply(resume()), Action::Refuse(Running));
        let mut machine = Machine::new(Waiting, false);
        machine.set_wants_resume(true);
        assert_eq!(machine.apply(resume()), Action::Resume(1.into()));
        assert_eq!(machine.apply(resume()), Action::Nothing(true));
    }

    /// Every reachable state and every event in it: no illegal transition, nothing leaves a terminal state, a paused
    /// process never steps, and a kill that was asked for is not forgotten.
    #[test]
    fn no_sequence_of_events_is_illegal() {
        let events = || {
            let fail = Event::Request(Request::Fail { error: ErrorInfo::new("x") });
            let resume = Event::Request(Request::Resume { value: Value::Null });
            let ends = [Running, Waiting, Finished, Excepted].map(Event::End);
            let start = Event::Request(Request::Start);
            [pause(), play(), start, kill(false), kill(true), fail, resume, Event::Begin].into_iter().chain(ends)
        };
        let mut reached = vec![Machine::new(Created, false)];
        let mut next = 0;
        while let Some(machine) = reached.get(next).cloned() {
            next += 1;
            for event in events() {
                let mut after = machine.clone();
                let action = after.apply(event.clone());
                let seen = format!("{machine:?} {event:?} {action:?} {after:?}");
                assert!(after.state == machine.state || machine.state.can_go_to(after.state), "{seen}");
                assert!(!after.stepping || (after.state == Running && !after.paused), "{seen}");
                assert!(after.stepping || after.pending.is_none(), "{seen}");
                assert!(!machine.is_killing() || after.is_killing() || after.state.is_terminal(), "{seen}");
                let mut waits = after.clone();
                waits.set_wants_resume(after.state == Waiting);
                for state in [after, waits] {
                    if !reached.contains(&state) {
                        reached.push(state);
                    }
                }
            }
        }
        let states: std::collections::HashSet<_> = reached.iter().map(|machine| machine.state).collect();
        assert_eq!(states.len(), ProcessState::ALL.len(), "every state is reached");
    }
}
