//! The outline of a process as a picture, before any run and overlaid by one: text for a terminal, Mermaid, SVG.
//!
//! ```
//! use procession_runtime::outline::{Branch, Node, Outline, Step};
//! use procession_runtime::picture::Picture;
//!
//! const IMPROVE: &[Node] = &[Node::Step(Step::new("improve", "improve").doc("One cycle."))];
//! const RELAX: Outline = Outline {
//!     body: &[
//!         Node::Step(Step::new("setup", "setup")),
//!         Node::While(Branch::new("unconverged", IMPROVE, 3)),
//!         Node::Step(Step::new("finish", "finish").outputs(&["energy"])),
//!     ],
//! };
//!
//! let picture = Picture::new("Relax", &RELAX);
//! assert_eq!(
//!     picture.text(80, false),
//!     "\
//! Relax
//! ├─ setup
//! ├─ ↻ while unconverged
//! │  ╭▶ improve
//! │  │    One cycle.
//! │  ╰─ again
//! ├─ finish → energy
//! ╰─ ◎ end
//! "
//! );
//! assert!(picture.svg().starts_with("<svg ") && picture.mermaid().starts_with("flowchart TD\n"));
//! ```
//!
//! [`Picture::of`] takes a process type, with its exit codes; [`Runtime::picture`](crate::Runtime::picture) one by its
//! registered name. A [`Run`] is what a store has of a process:
//!
//! ```
//! # use procession_runtime::picture::{Picture, Run};
//! # use procession_runtime::store::{Store, StoreError};
//! # use procession_runtime::ProcessId;
//! async fn drawn(store: &dyn Store, pid: &ProcessId, picture: Picture) -> Result<Picture, StoreError> {
//!     let Some(record) = store.load(pid).await? else { return Ok(picture) };
//!     Ok(picture.with_run(&Run::new(&record, &store.history(pid).await?)))
//! }
//! ```
//!
//! # How it is drawn
//! Down, where a predicate holds; to the right, where it does not; back on the left, for another round of a loop.
//! Each state has a colour and a sign. The same outline and the same run give the same bytes, whatever the machine.
//!
//! A process of `steps!` has no outline: its steps are drawn as a set, and with a run it is told which followed which.
//!
//! # What a run tells
//! How often each step has ended, how long that took and how long was waited after it; which step runs, waits or
//! failed, and why; how many rounds each loop had; which `return_` ended the process. A step that the outline does not
//! have, since an older version of the process ran it, is told below the picture.
//! History has steps and not predicates, so what happened between two steps is what explains it best: the innermost
//! loop has gone round that holds both, and of several ends that are possible after the last step, the first.

mod card;
mod flow;
mod layout;
mod mermaid;
mod node;
mod place;
mod run;
mod style;
mod svg;
mod text;
mod trace;
mod tree;
mod words;

pub use place::Place;
pub use run::Run;

use crate::outline::Outline;
use crate::process::Process;
use crate::spec::{ExitCode, spec_of};
use tree::Tree;

/// A picture of a process. See the [module](self).
#[derive(Debug, Clone)]
pub struct Picture {
    name: String,
    source: Source,
    exits: Vec<ExitCode>,
    run: Option<Run>,
}

#[derive(Debug, Clone)]
enum Source {
    Outline(Outline),
    /// The stored names of the steps.
    Steps(Vec<String>),
}

impl Picture {
    /// The picture of an outline, under a name for people.
    pub fn new(name: &str, outline: &Outline) -> Self {
        Self::from_source(name, Source::Outline(*outline))
    }

    /// The picture of a process without an outline, by the stored names of its steps. Those that a run was at are drawn,
    /// too, so it needs none for a process whose type is not known here.
    pub fn of_steps<'a>(name: &str, points: impl IntoIterator<Item = &'a str>) -> Self {
        Self::from_source(name, Source::Steps(points.into_iter().map(str::to_owned).collect()))
    }

    /// The picture of a process type, with its exit codes, under its registered name.
    pub fn of<P: Process>() -> Self {
        let picture = match P::OUTLINE {
            Some(outline) => Self::new(P::NAME, outline),
            None => Self::of_steps(P::NAME, P::POINTS.iter().copied()),
        };
        picture.with_exits(spec_of::<P>().exits())
    }

    fn from_source(name: &str, source: Source) -> Self {
        Self { name: name.to_owned(), source, exits: Vec::new(), run: None }
    }

    /// Under another name.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// With the exit codes of the process: `return_(Name)` has its number then, and what it means.
    pub fn with_exits(mut self, exits: &[ExitCode]) -> Self {
        self.exits = exits.to_vec();
        self
    }

    /// Overlaid by a run.
    pub fn with_run(mut self, run: &Run) -> Self {
        self.run = Some(run.clone());
        self
    }

    /// For a terminal of so many columns, with box-drawing characters; with colours by escape codes, if they are wanted.
    ///
    /// No line is longer than that, but a terminal of less than 20 columns is taken as one of 20.
    pub fn text(&self, width: usize, colour: bool) -> String {
        text::write(&Tree::of(self), width, colour)
    }

    /// As a flowchart of [Mermaid](https://mermaid.js.org).
    pub fn mermaid(&self) -> String {
        mermaid::write(&Tree::of(self))
    }

    /// As an SVG document that needs nothing else: it has its own style, for light and for dark, no scripts and no links.
    ///
    /// It has no blank lines, so that it can stand in a Markdown text.
    pub fn svg(&self) -> String {
        svg::write(&Tree::of(self))
    }
}
