//! The control flow of a process as a constant tree: for drawing, for checking, for reading.

mod description;
mod position;

pub use description::Description;

use std::fmt;

/// The outline of a process. `outline!` writes it as a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The instructions, in order.
    pub body: &'static [Node],
}

/// The outline of a process; none if its control flow is written by `steps!`.
pub fn of<P: crate::process::Flow>() -> Option<&'static Outline> {
    P::OUTLINE
}

/// One instruction of an outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Node {
    /// Runs a step.
    Step(Step),
    /// Runs the first branch whose predicate holds, or the last block.
    If {
        /// `if_` and each `elif_`.
        branches: &'static [Branch],
        /// `else_`; empty if there is none.
        otherwise: &'static [Node],
    },
    /// Runs the body as long as the predicate holds.
    While(Branch),
    /// Ends the process.
    Return {
        /// The name of the exit code; none for a normal end.
        exit: Option<&'static str>,
        /// The source line.
        line: u32,
    },
}

/// A step in an outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The name under which a checkpoint stores this program point.
    pub point: &'static str,
    /// The name of the function.
    pub name: &'static str,
    /// The documentation in the outline; empty if there is none.
    pub doc: &'static str,
    /// The outputs that the step returns or forwards.
    pub outputs: &'static [&'static str],
    /// Runs on a thread that may block.
    pub blocking: bool,
    /// The source line.
    pub line: u32,
}

impl Step {
    /// A step without documentation and outputs.
    pub const fn new(point: &'static str, name: &'static str) -> Self {
        Self { point, name, doc: "", outputs: &[], blocking: false, line: 0 }
    }

    /// With its documentation.
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// With the outputs it sets.
    pub const fn outputs(mut self, outputs: &'static [&'static str]) -> Self {
        self.outputs = outputs;
        self
    }

    /// On a thread that may block.
    pub const fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// At a source line.
    pub const fn line(mut self, line: u32) -> Self {
        self.line = line;
        self
    }
}

/// A predicate and what runs if it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Branch {
    /// The name of the predicate.
    pub predicate: &'static str,
    /// The instructions.
    pub body: &'static [Node],
    /// The source line.
    pub line: u32,
}

impl Branch {
    /// A predicate and its body.
    pub const fn new(predicate: &'static str, body: &'static [Node], line: u32) -> Self {
        Self { predicate, body, line }
    }

    /// The branch as it is written: `while_(unconverged)`.
    fn label(&self, word: &str) -> String {
        format!("{word}({})", self.predicate)
    }
}

impl Outline {
    /// All steps, in the order of the text.
    pub fn steps(&self) -> Vec<&'static Step> {
        fn collect(nodes: &'static [Node], steps: &mut Vec<&'static Step>) {
            for node in nodes {
                match node {
                    Node::Step(step) => steps.push(step),
                    Node::If { branches, otherwise } => {
                        branches.iter().for_each(|branch| collect(branch.body, steps));
                        collect(otherwise, steps);
                    }
                    Node::While(branch) => collect(branch.body, steps),
                    Node::Return { .. } => {}
                }
            }
        }
        let mut steps = Vec::new();
        collect(self.body, &mut steps);
        steps
    }

    /// The outline as data (S117): write it with `serde_json`.
    ///
    /// A step is its name, with its documentation in parentheses; a loop is `{"while_(p)": […]}`, a branch
    /// `{"if_(p)": […], "elif_(q)": […], "else_": […]}` in the order of the text, an end a sentence.
    pub fn description(&self) -> Description {
        Description::of(self.body)
    }

    /// Where a program point stands, as in `1:while_(unconverged)(0:run_scf)` (S106): in each block the index of the
    /// instruction, and the instruction. The branch is the one that the point is in. None if there is no such point.
    pub fn position(&self, point: &str) -> Option<String> {
        position::of(self.body, point)
    }
}

/// The outline as it is written, with four spaces a level.
impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn block(f: &mut fmt::Formatter<'_>, nodes: &[Node], depth: usize) -> fmt::Result {
            nodes.iter().try_for_each(|node| match node {
                Node::Step(step) if step.outputs.is_empty() => line(f, depth, format_args!("{}", step.name)),
                Node::Step(step) => line(f, depth, format_args!("{} => {}", step.name, step.outputs.join(", "))),
                Node::While(branch) => {
                    line(f, depth, format_args!("while_({})", branch.predicate))?;
                    block(f, branch.body, depth + 1)
                }
                Node::If { branches, otherwise } => {
                    for (index, branch) in branches.iter().enumerate() {
                        let word = if index == 0 { "if_" } else { "elif_" };
                        line(f, depth, format_args!("{word}({})", branch.predicate))?;
                        block(f, branch.body, depth + 1)?;
                    }
                    if otherwise.is_empty() {
                        return Ok(());
                    }
                    line(f, depth, format_args!("else_"))?;
                    block(f, otherwise, depth + 1)
                }
                Node::Return { exit: None, .. } => line(f, depth, format_args!("return_")),
                Node::Return { exit: Some(exit), .. } => line(f, depth, format_args!("return_({exit})")),
            })
        }
        fn line(f: &mut fmt::Formatter<'_>, depth: usize, text: fmt::Arguments<'_>) -> fmt::Result {
            writeln!(f, "{:1$}{text}", "", depth * 4)
        }
        block(f, self.body, 0)
    }
}
