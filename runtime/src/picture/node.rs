//! The shapes of an SVG that have a text in them.

use super::card::{Class, Text};
use super::run::Mark;
use super::tree::StepItem;

/// From the upper edge of a card to its text.
pub(super) const CARD: i32 = 8;
/// The widest texts: of names, and of all others.
const WIDEST: (i32, i32) = (250, 230);
/// How many lines a name, and any other text, may have.
const LINES: (usize, usize) = (3, 4);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Card,
    Hexagon,
    Pill,
}

/// A shape with a text in it.
pub(super) struct Node {
    pub(super) form: Form,
    pub(super) class: &'static str,
    /// The sign at its left.
    pub(super) badge: Option<Mark>,
    pub(super) bars: bool,
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) text: Text,
    /// The whole of what it says, for a tooltip.
    pub(super) title: String,
}

pub(super) fn card(step: &StepItem) -> Node {
    let (name, other) = WIDEST;
    let (names, others) = LINES;
    let mut text = Text::default().with(Class::Name, &step.name, name, names);
    if step.blocking {
        text = text.before(Class::Tag, "blocking");
    }
    if !step.outputs.is_empty() {
        text = text.with(Class::Out, &format!("→ {}", step.outputs.join(", ")), other, others);
    }
    let told = step.told.join(" · ");
    text = text.with(Class::Doc, &step.doc, other, others);
    text = text.with(Class::Told, &told, other, others).with(Class::State, &step.there, other, others);
    Node::new(Form::Card, step.class(), text, step.title()).badged(step.mark).barred(step.blocking)
}

pub(super) fn hexagon(word: &str, predicate: &str, rounds: &str) -> Node {
    let text = Text::default().with(Class::Name, predicate, WIDEST.0, LINES.0).after(Class::Word, word);
    let text = text.with(Class::Told, rounds, WIDEST.1, 1);
    let told = if rounds.is_empty() { String::new() } else { format!("; {rounds}") };
    Node::new(Form::Hexagon, "question", text, format!("{word} {predicate}{told}"))
}

pub(super) fn pill(exit: bool, label: &str, help: &str, mark: Mark) -> Node {
    let text = Text::default().with(Class::Name, label, WIDEST.0, LINES.0).with(Class::Doc, help, WIDEST.1, LINES.1);
    let class = match (mark, exit) {
        (Mark::Ahead, true) => "exits",
        (Mark::Ahead, false) => "ends",
        (mark, _) => mark.word(),
    };
    let title = if help.is_empty() { label.to_owned() } else { format!("{label}: {help}") };
    Node::new(Form::Pill, class, text, title).badged(Some(mark).filter(|mark| *mark != Mark::Ahead))
}

impl Node {
    fn new(form: Form, class: &'static str, text: Text, title: String) -> Self {
        let (beside, above) = match form {
            Form::Card => (14, CARD),
            Form::Hexagon => (24, 9),
            Form::Pill => (18, 7),
        };
        // Even, so that its middle is on a pixel.
        let (width, height) = (text.width() + 2 * beside, text.height() + 2 * above);
        let (width, height) = ((width + width % 2).max(96), height + height % 2);
        Self { form, class, badge: None, bars: false, left: 0, top: 0, width, height, text, title }
    }

    fn badged(mut self, badge: Option<Mark>) -> Self {
        if badge.is_some() {
            self.width += 24;
        }
        Self { badge, ..self }
    }

    fn barred(mut self, bars: bool) -> Self {
        if bars {
            self.width += 10;
        }
        Self { bars, ..self }
    }
}
