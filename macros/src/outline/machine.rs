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

#[cfg(test)]
mod tests {
    use super::{Goto, Machine, State};
    use crate::diag::Diagnostics;
    use crate::flow::Facade;
    use crate::outline::model::{self, Model, Node};
    use crate::outline::parse;

    fn model(text: &str) -> Model {
        let mut errors = Diagnostics::default();
        let tokens = format!("P {{ {text} }}").parse().expect("the test's outline has balanced braces");
        let ast = parse::outline(tokens, &mut errors).expect("the test's outline has a head");
        let model = model::build(Facade(quote::quote!(::procession)), ast, &mut errors);
        assert_eq!(errors.finish().to_string(), "", "{text}");
        model
    }

    /// The answers of predicates, one bit each, until there are no more.
    struct Answers {
        bits: u32,
        left: u32,
    }

    impl Answers {
        fn next(&mut self) -> Option<bool> {
            self.left = self.left.checked_sub(1)?;
            let answer = self.bits & 1 == 1;
            self.bits >>= 1;
            Some(answer)
        }
    }

    enum End {
        Normal,
        Exit(String),
        OutOfAnswers,
    }

    /// Runs the tree as a person reads it. An error is an end.
    fn read(model: &Model, nodes: &[Node], answers: &mut Answers, trace: &mut Vec<String>) -> Result<(), End> {
        for node in nodes {
            match node {
                Node::Step(index) => trace.push(model.points[*index].stored.clone()),
                Node::While(branch) => {
                    while ask(&branch.predicate, answers, trace)? {
                        read(model, &branch.body, answers, trace)?;
                    }
                }
                Node::If { branches, otherwise } => {
                    let mut chosen = otherwise;
                    for branch in branches {
                        if ask(&branch.predicate, answers, trace)? {
                            chosen = &branch.body;
                            break;
                        }
                    }
                    read(model, chosen, answers, trace)?;
                }
                Node::Return { exit: Some(exit), .. } => return Err(End::Exit(exit.to_string())),
                Node::Return { exit: None, .. } => return Err(End::Normal),
            }
        }
        Ok(())
    }

    fn ask(predicate: &proc_macro2::Ident, answers: &mut Answers, trace: &mut Vec<String>) -> Result<bool, End> {
        trace.push(format!("{predicate}?"));
        answers.next().ok_or(End::OutOfAnswers)
    }

    /// Runs the machine step by step, each time from the last point, as the runner does.
    fn walk(model: &Model, answers: &mut Answers, trace: &mut Vec<String>) -> End {
        let machine = Machine::new(&model.body, model.points.len());
        let mut at = machine.start;
        loop {
            at = match at {
                Goto::End => return End::Normal,
                Goto::Step(index) => {
                    trace.push(model.points[index].stored.clone());
                    machine.after[index]
                }
                Goto::State(index) => match &machine.states[index] {
                    State::Test { predicate, yes, no, .. } => match ask(predicate, answers, trace) {
                        Ok(answer) => {
                            if answer {
                                *yes
                            } else {
                                *no
                            }
                        }
                        Err(end) => return end,
                    },
                    State::Exit(exit) => return End::Exit(exit.to_string()),
                    State::Open => panic!("a loop was not closed"),
                },
            }
        }
    }

    const OUTLINES: [&str; 8] = [
        "a; b; c",
        "if_(p) { a }",
        "while_(p) { if_(q) { a } } b",
        "a; while_(p) { b; if_(q) { c } elif_(r) { return_(X) } else_ { d } } e;",
        "while_(p) { while_(q) { a; while_(r) { b } } c } return_;",
        "if_(p) { if_(q) { a } else_ { return_ } } elif_(r) { while_(s) { b } } c",
        "while_(p) { if_(q) { return_(X) } } if_(r) { return_(Y) } else_ { return_ }",
        "a; if_(p) { b } if_(q) { c } elif_(r) { d } if_(s) { e } a; a",
    ];

    #[test]
    fn the_machine_takes_the_same_way_as_the_tree_for_all_answers() {
        for text in OUTLINES {
            let model = model(text);
            for bits in 0..1 << 12 {
                let (mut read_trace, mut walk_trace) = (Vec::new(), Vec::new());
                let answers = || Answers { bits, left: 12 };
                let expected = read(&model, &model.body, &mut answers(), &mut read_trace).err().unwrap_or(End::Normal);
                let actual = walk(&model, &mut answers(), &mut walk_trace);
                assert_eq!(walk_trace, read_trace, "{text}, answers {bits:b}");
                match (expected, actual) {
                    (End::Exit(a), End::Exit(b)) => assert_eq!(a, b, "{text}"),
                    (End::Normal, End::Normal) | (End::OutOfAnswers, End::OutOfAnswers) => {}
                    _ => panic!("{text} ends in another way for answers {bits:b}"),
                }
            }
        }
    }

    #[test]
    fn each_predicate_and_exit_is_one_state() {
        for (text, states) in [(OUTLINES[0], 0), (OUTLINES[3], 4), (OUTLINES[6], 5)] {
            let model = model(text);
            assert_eq!(Machine::new(&model.body, model.points.len()).states.len(), states, "{text}");
        }
    }

    #[test]
    fn outputs_that_are_certainly_set_are_known_at_each_end() {
        for (text, expected) in [
            ("a => x", vec![vec!["x"]]),
            ("a => x, y; b => n from f", vec![vec!["x", "y", "n.*"]]),
            ("if_(p) { a => x, y } else_ { b => y } c => z", vec![vec!["y", "z"]]),
            ("if_(p) { a => x } b => z", vec![vec!["z"]]),
            ("while_(p) { a => x; if_(q) { return_ } } b => y", vec![vec!["x"], vec!["y"]]),
            ("if_(p) { return_(X) } else_ { a => x }", vec![vec!["x"]]),
            ("a => o.x.y", vec![vec!["o.x.y"]]),
            ("return_(X)", vec![]),
        ] {
            let ends: Vec<Vec<String>> = model(text).ends.into_iter().map(|end| end.set).collect();
            assert_eq!(ends, expected, "{text}");
        }
    }
}
