//! The control flow as a small state machine: one state per predicate and per end with an exit code.
//!
//! Each of the user's tokens stands in one state, so it is written once.

use proc_macro2::Ident;

use super::model::{Branch, Node};

/// Where to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Goto {
    /// To the step with this index.
    Step(usize),
    /// To the normal end.
    End,
    /// To the state with this index.
    State(usize),
}

/// A state.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum State<'a> {
    /// Asks a predicate. `round` names the loop whose round begins here.
    Test { predicate: &'a Ident, yes: Goto, no: Goto, round: Option<&'a str> },
    /// Ends with an exit code.
    Exit(&'a Ident),
    /// Not filled in yet: a loop whose body is being compiled.
    Open,
}

/// The machine.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) states: Vec<State<'a>>,
    /// Where the process starts.
    pub(crate) start: Goto,
    /// Where to go after each step.
    pub(crate) after: Vec<Goto>,
}

impl<'a> Machine<'a> {
    /// Compiles an outline with this number of steps.
    pub(crate) fn new(body: &'a [Node], steps: usize) -> Self {
        let mut machine = Self { states: Vec::new(), start: Goto::End, after: vec![Goto::End; steps] };
        machine.start = machine.block(body, Goto::End);
        machine
    }

    /// The entry of a block behind which `next` follows; compiled from its end.
    fn block(&mut self, nodes: &'a [Node], next: Goto) -> Goto {
        nodes.iter().rev().fold(next, |next, node| match node {
            Node::Step(index) => {
                self.after[*index] = next;
                Goto::Step(*index)
            }
            Node::If { branches, otherwise } => {
                let otherwise = self.block(otherwise, next);
                branches.iter().rev().fold(otherwise, |no, branch| {
                    let yes = self.block(&branch.body, next);
                    self.state(State::Test { predicate: &branch.predicate, yes, no, round: None })
                })
            }
            Node::While(branch) => self.round(branch, next),
            Node::Return { exit: None, .. } => Goto::End,
            Node::Return { exit: Some(exit), .. } => self.state(State::Exit(exit)),
        })
    }

    fn round(&mut self, branch: &'a Branch, next: Goto) -> Goto {
        let head = self.states.len();
        self.state(State::Open);
        let yes = self.block(&branch.body, Goto::State(head));
        self.states[head] = State::Test { predicate: &branch.predicate, yes, no: next, round: Some(&branch.text) };
        Goto::State(head)
    }

    fn state(&mut self, state: State<'a>) -> Goto {
        self.states.push(state);
        Goto::State(self.states.len() - 1)
    }
}
