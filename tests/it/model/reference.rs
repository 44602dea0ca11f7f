//! The reference: what S49–S63 say, without their quirks, of one process and what is asked of it.
//!
//! It is written from the rules and knows nothing of the runner. Where a rule is a quirk, the comment says what holds
//! instead.

use procession::ProcessState::{self, Created, Excepted, Finished, Killed, Running, Waiting};
use std::collections::BTreeMap;

/// What is asked from outside. The number of an ask stands in its text or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Pause { text: bool },
    Play,
    Kill,
    KillForce,
    Resume,
    Fail,
}

impl Ask {
    pub(super) const ALL: [Self; 7] = [
        Self::Pause { text: false },
        Self::Pause { text: true },
        Self::Play,
        Self::Kill,
        Self::KillForce,
        Self::Resume,
        Self::Fail,
    ];
}

/// How a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Go,
    WaitForResume,
    WaitForTimer,
    WaitForChild,
    Finish,
    Exit,
    Fail,
    KillItself,
}

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Ask(Ask),
    /// The step that runs ends.
    Step(Way),
    /// The timer that is waited for is due.
    Timer,
    /// The child that is waited for ends.
    Child {
        killed: bool,
    },
    /// Another process takes the only slot, as soon as it can.
    TakeSlot,
    /// It gives it back.
    FreeSlot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Held(bool),
    /// Not possible in this state.
    Refused(ProcessState),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Resume { given: Option<usize> },
    Timer { due: bool },
    Child { killed: Option<bool> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Pause { text: Option<usize> },
    Kill(usize),
}

/// One process.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // Each may hold without the others.
pub(super) struct Model {
    pub(super) state: ProcessState,
    pub(super) paused: bool,
    pub(super) stepping: bool,
    pub(super) status: Option<String>,
    /// The states that were entered, without created.
    pub(super) trace: Vec<ProcessState>,
    /// The answers so far, by the number of the ask.
    pub(super) answers: BTreeMap<usize, Answer>,
    /// How it ended, in words.
    pub(super) ended: Option<String>,
    /// What the step that runs has been resumed with.
    pub(super) resumed: Option<usize>,
    pub(super) slot_taken: bool,
    covered: Option<Option<String>>,
    pending: Option<Pending>,
    /// Asks that are answered when the step has ended.
    open: Vec<(usize, Ask)>,
    wait: Wait,
    asks: usize,
    turns: u32,
    /// Nobody watches: steps follow each other without giving the slot back, unless something waits for their end.
    quiet: bool,
}

impl Model {
    /// A process that was created while another had the slot.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            state: Created,
            paused: false,
            stepping: false,
            status: None,
            trace: Vec::new(),
            answers: BTreeMap::new(),
            ended: None,
            resumed: None,
            slot_taken: true,
            covered: None,
            pending: None,
            open: Vec::new(),
            wait: Wait::Nothing,
            asks: 0,
            turns: 0,
            quiet,
        }
    }

    /// Whether it waits for a child that has not ended.
    pub(super) fn has_open_child(&self) -> bool {
        self.wait == Wait::Child { killed: None }
    }

    /// Whether an event can happen now; one that cannot is left out.
    pub(super) fn permits(&self, event: Event) -> bool {
        match event {
            Event::Ask(_) => true,
            Event::Step(_) => self.stepping,
            Event::Timer => matches!(self.wait, Wait::Timer { .. }),
            // The child needs the slot to end by itself.
            Event::Child { .. } => self.has_open_child() && !self.slot_taken,
            Event::TakeSlot => !self.slot_taken,
            Event::FreeSlot => self.slot_taken && !self.stepping,
        }
    }

    /// Takes an event. What follows from it by itself is left to [`Self::settle`].
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Ask(ask) => {
                let number = self.asks;
                self.asks += 1;
                if let Some(answer) = self.ask(number, ask) {
                    self.answers.insert(number, answer);
                } else {
                    self.open.push((number, ask));
                }
            }
            Event::Step(way) => self.end_step(way),
            Event::Timer => self.wait = Wait::Timer { due: true },
            Event::Child { killed } => self.wait = Wait::Child { killed: Some(killed) },
            Event::TakeSlot => self.slot_taken = true,
            Event::FreeSlot => self.slot_taken = false,
        }
    }

    /// The next step begins where nothing keeps it from doing so (S57).
    pub(super) fn settle(&mut self) {
        if self.state.is_terminal() || self.stepping || self.paused || self.slot_taken {
            return;
        }
        match self.wait {
            Wait::Resume { given: None } | Wait::Timer { due: false } | Wait::Child { killed: None } => return,
            Wait::Child { killed: Some(true) } => return self.end(Excepted, "excepted: child"),
            Wait::Resume { given } => self.resumed = given,
            _ => self.resumed = None,
        }
        self.begin();
    }

    fn begin(&mut self) {
        self.wait = Wait::Nothing;
        self.stepping = true;
        if self.state != Running {
            self.enter(Running);
        }
    }

    fn enter(&mut self, to: ProcessState) {
        self.state = to;
        self.trace.push(to);
    }

    /// What is asked; no answer means that it waits for the step's end.
    fn ask(&mut self, number: usize, ask: Ask) -> Option<Answer> {
        let over = self.state.is_terminal();
        let held = match ask {
            // S49.
            Ask::Pause { .. } if over => false,
            Ask::Pause { .. } if self.paused => true,
            Ask::Pause { text } if self.stepping => {
                // The pause in progress stays as it is; a kill is not taken back (S52 without its quirk).
                self.pending.get_or_insert(Pending::Pause { text: text.then_some(number) });
                return None;
            }
            Ask::Pause { text } => {
                self.pause(text.then_some(number));
                true
            }
            // S56.
            Ask::Play => {
                if let Some(Pending::Pause { .. }) = self.pending {
                    self.pending = None;
                }
                self.answer_open(|ask| matches!(ask, Ask::Pause { .. }).then_some(false));
                if self.paused && !over {
                    self.paused = false;
                    self.status = self.covered.take().flatten();
                }
                true
            }
            // S58.
            Ask::Kill | Ask::KillForce if over => self.state == Killed,
            Ask::Kill if self.stepping => {
                self.pending = Some(Pending::Kill(number));
                return None;
            }
            Ask::Kill | Ask::KillForce => {
                self.end(Killed, &format!("killed: ask {number}"));
                true
            }
            // S30 and S32. One who waits for something else is left as it is.
            Ask::Resume if self.state != Waiting => return Some(Answer::Refused(self.state)),
            Ask::Resume => {
                if let Wait::Resume { given: given @ None } = &mut self.wait {
                    *given = Some(number);
                }
                true
            }
            // S63; a terminal state is not left (S9 without its quirk).
            Ask::Fail if over => return Some(Answer::Refused(self.state)),
            Ask::Fail => {
                self.end(Excepted, &format!("excepted: ask {number}"));
                true
            }
        };
        Some(Answer::Held(held))
    }

    /// S54 and S55.
    fn pause(&mut self, text: Option<usize>) {
        self.paused = true;
        self.covered = Some(self.status.clone());
        if let Some(number) = text {
            self.status = Some(format!("ask {number}"));
        }
    }

    /// S51: an exception wins, then a kill; a pause lets the transition happen, but an ended process is not paused.
    fn end_step(&mut self, way: Way) {
        let pending = self.pending.take();
        if way == Way::Fail {
            return self.end(Excepted, "excepted: step `turn` failed: planned");
        }
        self.stepping = false;
        self.turns += 1;
        if !self.quiet {
            self.status = Some(format!("turn {}", self.turns));
        }
        if let Some(Pending::Kill(number)) = pending {
            return self.end(Killed, &format!("killed: ask {number}"));
        }
        self.wait = match way {
            Way::Finish => return self.end(Finished, "finished"),
            Way::Exit => return self.end(Finished, "finished with exit code Planned (1)"),
            Way::KillItself => return self.end(Killed, "killed: by itself"),
            Way::WaitForResume => Wait::Resume { given: None },
            Way::WaitForTimer => Wait::Timer { due: false },
            Way::WaitForChild => Wait::Child { killed: None },
            Way::Go | Way::Fail => Wait::Nothing,
        };
        self.enter(if self.wait == Wait::Nothing { Running } else { Waiting });
        if let Some(Pending::Pause { text }) = pending {
            self.pause(text);
        }
        let paused = self.paused;
        self.answer_open(|_| Some(paused));
        if self.quiet && self.state == Running && pending.is_none() {
            self.resumed = None;
            self.begin();
        }
    }

    fn end(&mut self, state: ProcessState, ended: &str) {
        self.stepping = false;
        (self.pending, self.wait) = (None, Wait::Nothing);
        self.ended = Some(ended.to_owned());
        if let (Killed, Some(text)) = (state, ended.strip_prefix("killed: ")) {
            // S59.
            self.status = Some(text.to_owned());
        }
        self.enter(state);
        self.answer_open(|ask| Some(matches!(ask, Ask::Kill) && state == Killed));
    }

    fn answer_open(&mut self, answer: impl Fn(Ask) -> Option<bool>) {
        let answers = &mut self.answers;
        self.open.retain(|&(number, ask)| answer(ask).map(|held| answers.insert(number, Answer::Held(held))).is_none());
    }
}
