//! What is drawn: an outline, or a set of steps, with what a run tells of each.

use super::run::{Mark, Run};
use super::words::{clean, counted, span};
use super::{Picture, Source, flow};
use crate::limits;
use crate::outline::{Branch, Node, Outline, Step};
use crate::spec::MISSING_OUTPUT;

/// All that a picture says, whatever it is drawn with.
pub(super) struct Tree {
    pub(super) name: String,
    /// How the process stands, and in which words; none without a run.
    pub(super) head: Option<(Mark, Vec<String>)>,
    pub(super) body: Vec<Item>,
    /// Whether the body is in order: not that of `steps!`, of which nobody knows what comes after what.
    pub(super) ordered: bool,
    /// How the end behind the last instruction stands.
    pub(super) end: Mark,
    pub(super) notes: Vec<String>,
}

/// One instruction, or one step of a set.
pub(super) struct Item {
    /// Its number in the order of the text.
    pub(super) id: usize,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Step(StepItem),
    If {
        /// Each with its predicate.
        branches: Vec<(String, Vec<Item>)>,
        /// `else_`; none if there is none.
        otherwise: Option<Vec<Item>>,
    },
    While {
        predicate: String,
        /// How many rounds there were.
        rounds: String,
        body: Vec<Item>,
    },
    Return {
        /// The name of the exit code; none for a normal end.
        exit: Option<String>,
        /// With its number, where that is known.
        label: String,
        /// What the exit code means.
        help: String,
        mark: Mark,
    },
}

#[derive(Default)]
pub(super) struct StepItem {
    pub(super) point: String,
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) outputs: Vec<String>,
    pub(super) blocking: bool,
    /// How it stands; none without a run.
    pub(super) mark: Option<Mark>,
    /// How often and how long.
    pub(super) told: Vec<String>,
    /// What is to be said of how it stands: why it failed, since when it runs.
    pub(super) there: String,
    /// Which steps of a set followed it, and how often.
    pub(super) followers: Vec<(String, u64)>,
}

impl Tree {
    pub(super) fn of(picture: &Picture) -> Self {
        let (body, ordered) = match &picture.source {
            Source::Outline(outline) => (Builder { picture, items: 0 }.block(outline.body, 0), true),
            Source::Steps(points) => (set(points, picture.run.as_ref()), false),
        };
        let name = clean(&picture.name);
        let mut tree = Self { name, head: None, body, ordered, end: Mark::Ahead, notes: Vec::new() };
        if !ordered {
            tree.notes.push("No outline: each step decides what comes next.".to_owned());
        }
        if let Some(run) = &picture.run {
            tree.lay_over(run);
        }
        tree
    }

    fn lay_over(&mut self, run: &Run) {
        self.head = Some((run.mark(), run.headline()));
        let strangers = self.strangers(run);
        if self.ordered {
            flow::lay_over(&mut self.body, run);
            self.end_at(run);
        }
        for_each_step(&mut self.body, &mut |step| step.lay_over(run, self.ordered));
        if !strangers.is_empty() {
            let strangers = strangers.join("; ");
            self.notes.push(format!("Not in this outline, but in the run: {strangers}."));
        }
        if run.trace.partial {
            let note = "The first transitions are not kept any more: numbers and times are at least these, and other \
                        steps may have run before.";
            self.notes.push(note.to_owned());
        }
    }

    /// What a run tells of steps that are not drawn: those of an older version of the process.
    fn strangers(&mut self, run: &Run) -> Vec<String> {
        let mut known = std::collections::HashSet::new();
        for_each_step(&mut self.body, &mut |step| {
            known.insert(step.point.clone());
        });
        let unseen = run.point.as_ref().filter(|point| run.trace.get(point).is_none());
        let points = run.trace.steps.iter().map(|seen| &seen.point).chain(unseen);
        let mut told = Vec::new();
        for point in points.filter(|point| !known.contains(*point)) {
            let mut step = StepItem { point: point.clone(), ..StepItem::default() };
            step.lay_over(run, true);
            let sayings = step.told.into_iter().chain(Some(step.there).filter(|there| !there.is_empty()));
            told.push(
                [vec![format!("`{}` {}", step.point, step.mark.unwrap_or_default().word())], sayings.collect()]
                    .concat()
                    .join(", "),
            );
        }
        told
    }

    /// Marks the end at which a run has come.
    fn end_at(&mut self, run: &Run) {
        let mark = run.mark();
        if !matches!(mark, Mark::Done | Mark::Exited) {
            return;
        }
        let last = run.trace.last.map(|index| run.trace.steps[index].point.as_str());
        let (ends, through) = flow::ends(&self.body, last);
        // That an output is missing is found at a normal end.
        let exit = run.exit().filter(|exit| exit.number != MISSING_OUTPUT).map(|exit| clean(&exit.name));
        if exit.is_none() && through {
            // The end of the outline is likelier than a `return_;` that some predicate may have led to.
            self.end = mark;
            return;
        }
        let mut reached = false;
        for_each_item(&mut self.body, &mut |item| {
            if let Kind::Return { exit: own, mark: stands, .. } = &mut item.kind
                && !reached
                && *own == exit
                && ends.contains(&item.id)
            {
                (*stands, reached) = (mark, true);
            }
        });
        if reached {
            return;
        }
        // The step itself ended the process, by a value.
        let with = exit.map(|exit| format!(" with exit code {exit}")).unwrap_or_default();
        for_each_step(&mut self.body, &mut |step| {
            if Some(step.point.as_str()) == last {
                step.mark = Some(mark);
                step.there = format!("ended the process{with}");
            }
        });
    }
}

impl StepItem {
    fn new(step: &Step) -> Self {
        Self {
            point: clean(step.point),
            name: clean(step.name),
            doc: clean(step.doc),
            outputs: step.outputs.iter().map(|output| clean(output)).collect(),
            blocking: step.blocking,
            ..Self::default()
        }
    }

    /// The name of its colours.
    pub(super) fn class(&self) -> &'static str {
        self.mark.map_or("plain", Mark::word)
    }

    /// What a tooltip says of it.
    pub(super) fn title(&self) -> String {
        let mut parts = vec![format!("step {}", self.name)];
        parts.extend(Some(format!("stored as {}", self.point)).filter(|_| self.point != self.name));
        parts.extend(self.blocking.then(|| "runs on a thread that may block".to_owned()));
        parts.extend(Some(self.doc.clone()).filter(|doc| !doc.is_empty()));
        parts.extend(Some(format!("outputs {}", self.outputs.join(", "))).filter(|_| !self.outputs.is_empty()));
        parts.extend(self.told.iter().cloned());
        parts.extend(Some(self.there.clone()).filter(|there| !there.is_empty()));
        parts.join("; ")
    }

    fn lay_over(&mut self, run: &Run, ordered: bool) {
        self.mark.get_or_insert_default();
        let seen = run.trace.get(&self.point);
        if let Some(seen) = seen.filter(|seen| seen.times > 0) {
            self.mark = self.mark.max(Some(Mark::Done));
            let least = if run.trace.partial { "at least " } else { "" };
            if seen.times > 1 || run.trace.partial {
                self.told.push(format!("{least}{}×", seen.times));
            }
            self.told.push(format!("took {}", span(seen.took)));
            if !seen.waited.is_zero() {
                self.told.push(format!("waited {}", span(seen.waited)));
            }
        }
        if run.point.as_ref() == Some(&self.point) {
            self.mark = Some(run.mark());
            self.there = run.told_there();
        }
        if !ordered {
            self.followers = run.trace.followers(&self.point);
            if !self.followers.is_empty() {
                let told: Vec<_> = self.followers.iter().map(|(step, times)| format!("{step} {times}×")).collect();
                self.told.push(format!("then {}", told.join(", ")));
            }
        }
    }
}

/// Makes items of an outline, and numbers them.
struct Builder<'a> {
    picture: &'a Picture,
    items: usize,
}

impl Builder<'_> {
    fn block(&mut self, nodes: &'static [Node], depth: usize) -> Vec<Item> {
        if depth > limits::PICTURE_DEPTH {
            let steps = Outline { body: nodes }.steps().len() as u64;
            let doc = format!("{}, nested too deep to be drawn", counted(steps, "step", "steps"));
            return vec![self.item(|_| Kind::Step(StepItem { name: "…".to_owned(), doc, ..StepItem::default() }))];
        }
        nodes.iter().map(|node| self.item(|builder| builder.kind(node, depth))).collect()
    }

    fn item(&mut self, kind: impl FnOnce(&mut Self) -> Kind) -> Item {
        let id = self.items;
        self.items += 1;
        Item { id, kind: kind(self) }
    }

    fn kind(&mut self, node: &'static Node, depth: usize) -> Kind {
        match node {
            Node::Step(step) => Kind::Step(StepItem::new(step)),
            Node::If { branches, otherwise } => Kind::If {
                branches: branches.iter().map(|branch| self.branch(branch, depth)).collect(),
                otherwise: (!otherwise.is_empty()).then(|| self.block(otherwise, depth + 1)),
            },
            Node::While(branch) => {
                let (predicate, body) = self.branch(branch, depth);
                Kind::While { predicate, rounds: String::new(), body }
            }
            Node::Return { exit, .. } => {
                let known = self.picture.exits.iter().find(|known| Some(&*known.name) == *exit);
                let label = match (exit, known) {
                    (Some(exit), Some(known)) => format!("exit {} {exit}", known.number),
                    (Some(exit), None) => format!("exit {exit}"),
                    (None, _) => "return".to_owned(),
                };
                let help = known.map(|known| clean(&known.message)).unwrap_or_default();
                Kind::Return { exit: exit.map(clean), label: clean(&label), help, mark: Mark::Ahead }
            }
        }
    }

    fn branch(&mut self, branch: &'static Branch, depth: usize) -> (String, Vec<Item>) {
        (clean(branch.predicate), self.block(branch.body, depth + 1))
    }
}

/// The steps of a process without an outline: those that it has, and those that its run was at.
fn set(points: &[String], run: Option<&Run>) -> Vec<Item> {
    let mut names: Vec<String> = points.iter().map(|point| clean(point)).collect();
    let seen = run.into_iter().flat_map(|run| run.trace.steps.iter().map(|seen| &seen.point).chain(&run.point));
    for name in seen {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let step = |name: String| Kind::Step(StepItem { point: name.clone(), name, ..StepItem::default() });
    names.into_iter().enumerate().map(|(id, name)| Item { id, kind: step(name) }).collect()
}

/// The blocks within an instruction.
pub(super) fn blocks(kind: &Kind) -> Vec<&[Item]> {
    match kind {
        Kind::Step(_) | Kind::Return { .. } => Vec::new(),
        Kind::While { body, .. } => vec![body],
        Kind::If { branches, otherwise } => {
            branches.iter().map(|(_, body)| body).chain(otherwise).map(Vec::as_slice).collect()
        }
    }
}

fn blocks_mut(kind: &mut Kind) -> Vec<&mut Vec<Item>> {
    match kind {
        Kind::Step(_) | Kind::Return { .. } => Vec::new(),
        Kind::While { body, .. } => vec![body],
        Kind::If { branches, otherwise } => branches.iter_mut().map(|(_, body)| body).chain(otherwise).collect(),
    }
}

fn for_each_item(items: &mut [Item], each: &mut dyn FnMut(&mut Item)) {
    for item in items {
        each(item);
        for block in blocks_mut(&mut item.kind) {
            for_each_item(block, each);
        }
    }
}

pub(super) fn for_each_step(items: &mut [Item], each: &mut dyn FnMut(&mut StepItem)) {
    for_each_item(items, &mut |item| {
        if let Kind::Step(step) = &mut item.kind {
            each(step);
        }
    });
}
