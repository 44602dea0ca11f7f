//! A picture as an SVG document.

use std::fmt::Write as _;

use super::card::{Class, Line, Text};
use super::layout::{self, Shape};
use super::node::{CARD, Form, Node};
use super::run::Mark;
use super::style;
use super::tree::Tree;

/// From the edge to what is drawn.
const EDGE: i32 = 24;
/// The least room that title and notes have in a line.
const LEAST: i32 = 300;
/// The radius of corners.
const ROUND: i32 = 8;
/// How long the head of an arrow is, and half as wide.
const HEAD: (i32, i32) = (8, 4);

pub(super) fn write(tree: &Tree) -> String {
    let mut chart = layout::whole(tree);
    let room = (chart.left + chart.right).max(LEAST);
    let mut head = Text::default().with(Class::Title, &tree.name, room, 3);
    if let Some((_, told)) = &tree.head {
        // Beside the sign.
        head = head.with(Class::State, &told.join(" · "), room - 24, 4);
    }
    let mut notes = Text::default();
    for note in &tree.notes {
        notes = notes.with(Class::Note, note, room, 6);
    }
    let top = EDGE + head.height() + 20;
    chart.shift(EDGE + chart.left, top);
    let below = chart.height + if notes.lines.is_empty() { 0 } else { 22 };
    let (width, height) = (room + 2 * EDGE, below + notes.height() + EDGE);
    let mut svg = Svg { out: String::new() };
    svg.open(tree, width, height);
    svg.head(tree, &head);
    // Grounds below lines, lines below shapes.
    for layer in 0..3 {
        chart.shapes.iter().filter(|shape| layer_of(shape) == layer).for_each(|shape| svg.shape(shape));
    }
    svg.text(&notes, EDGE, below, false);
    svg.out.push_str("</svg>\n");
    svg.out
}

fn layer_of(shape: &Shape) -> usize {
    match shape {
        Shape::Zone { .. } => 0,
        Shape::Flow { .. } => 1,
        _ => 2,
    }
}

struct Svg {
    out: String,
}

impl Svg {
    fn open(&mut self, tree: &Tree, width: i32, height: i32) {
        let name = escaped(&tree.name);
        let told: Vec<_> =
            tree.head.iter().flat_map(|(_, told)| told).chain(&tree.notes).map(|told| escaped(told)).collect();
        let told = told.join("; ");
        let told = if told.is_empty() { told } else { format!(": {told}") };
        let what = if tree.ordered { "The outline" } else { "The steps" };
        let _ = write!(
            self.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"procession\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{what} of {name}\">\n\
             <title>{name}</title>\n<desc>{what} of {name}{told}</desc>\n<style>\n{}</style>\n\
             <rect class=\"ground\" width=\"{width}\" height=\"{height}\" rx=\"12\"/>\n",
            style::sheet()
        );
    }

    /// The name of the process, and below it how it stands.
    fn head(&mut self, tree: &Tree, head: &Text) {
        let titles = head.lines.iter().take_while(|line| line.spans.iter().all(|span| span.class == Class::Title));
        let titles = titles.count();
        let mut y = EDGE;
        for line in &head.lines[..titles] {
            self.line(line, EDGE, y, false);
            y += line.height;
        }
        let Some((mark, _)) = &tree.head else { return };
        let _ = writeln!(self.out, "<g class=\"{}\">", if *mark == Mark::Ahead { "plain" } else { mark.word() });
        let y = y + 4;
        self.badge(*mark, EDGE + 8, y + 8);
        let mut below = y;
        for line in &head.lines[titles..] {
            self.line(line, EDGE + 24, below, false);
            below += line.height;
        }
        self.out.push_str("</g>\n");
    }

    fn shape(&mut self, shape: &Shape) {
        let out = &mut self.out;
        let _ = match shape {
            Shape::Zone { left, top, width, height, odd } => writeln!(
                out,
                "<rect class=\"zone{}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"12\"/>",
                if *odd { " odd" } else { "" }
            ),
            Shape::Flow { points, arrow } => {
                self.flow(points, *arrow);
                Ok(())
            }
            Shape::Answer { x, y, word } => writeln!(out, "<text class=\"answer\" x=\"{x}\" y=\"{y}\">{word}</text>"),
            Shape::Start { x, y } => writeln!(out, "<circle class=\"head\" cx=\"{x}\" cy=\"{y}\" r=\"7\"/>"),
            Shape::End { x, y, mark: Mark::Ahead } => writeln!(
                out,
                "<circle class=\"flow\" cx=\"{x}\" cy=\"{y}\" r=\"10\"/><circle class=\"head\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>"
            ),
            Shape::End { x, y, mark } => {
                let _ = writeln!(out, "<g class=\"{}\">", mark.word());
                let _ = writeln!(out, "<circle class=\"box\" cx=\"{x}\" cy=\"{y}\" r=\"11\"/>");
                self.badge(*mark, *x, *y);
                writeln!(self.out, "</g>")
            }
            Shape::Node(node) => {
                self.node(node);
                Ok(())
            }
        };
    }

    fn flow(&mut self, points: &[(i32, i32)], arrow: bool) {
        let mut points = points.to_vec();
        let mut tip = None;
        if let [.., before, last] = points.as_mut_slice()
            && arrow
        {
            let step = ((last.0 - before.0).signum(), (last.1 - before.1).signum());
            tip = Some((*last, step));
            *last = (last.0 - step.0 * (HEAD.0 - 1), last.1 - step.1 * (HEAD.0 - 1));
        }
        let mut path = String::new();
        for (index, point) in points.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| points.get(index));
            let _ = match (before, points.get(index + 1)) {
                (None, _) => write!(path, "M{} {}", point.0, point.1),
                (_, None) => write!(path, "L{} {}", point.0, point.1),
                (Some(before), Some(after)) => {
                    let (from, to) = (towards(*point, *before), towards(*point, *after));
                    write!(path, "L{} {}Q{} {} {} {}", from.0, from.1, point.0, point.1, to.0, to.1)
                }
            };
        }
        let _ = writeln!(self.out, "<path class=\"flow\" d=\"{path}\"/>");
        if let Some(((x, y), (dx, dy))) = tip {
            let (long, wide) = HEAD;
            let (back, side) = ((x - dx * long, y - dy * long), (dy * wide, dx * wide));
            let _ = writeln!(
                self.out,
                "<path class=\"head\" d=\"M{x} {y}L{} {}L{} {}Z\"/>",
                back.0 + side.0,
                back.1 + side.1,
                back.0 - side.0,
                back.1 - side.1
            );
        }
    }

    fn node(&mut self, node: &Node) {
        let Node { left, top, width, height, .. } = *node;
        let (right, bottom, middle) = (left + width, top + height, top + height / 2);
        let _ = writeln!(self.out, "<g class=\"{}\"><title>{}</title>", node.class, escaped(&node.title));
        let _ = match node.form {
            Form::Hexagon => writeln!(
                self.out,
                "<path class=\"box\" d=\"M{} {top}L{} {top}L{right} {middle}L{} {bottom}L{} {bottom}L{left} {middle}Z\"/>",
                left + 14,
                right - 14,
                right - 14,
                left + 14
            ),
            form => writeln!(
                self.out,
                "<rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"{}\"/>",
                if form == Form::Card { ROUND } else { (height / 2).min(20) }
            ),
        };
        if node.bars {
            for x in [left + 6, right - 6] {
                let _ = writeln!(self.out, "<path class=\"bar\" d=\"M{x} {top}L{x} {bottom}\"/>");
            }
        }
        let text = match node.form {
            Form::Card => top + CARD,
            _ => top + (height - node.text.height()) / 2,
        };
        let bars = if node.bars { 5 } else { 0 };
        let badge = if let Some(mark) = node.badge {
            self.badge(mark, left + 19 + bars, if node.form == Form::Card { text + 9 } else { middle });
            24
        } else {
            0
        };
        match node.form {
            Form::Card if node.badge.is_some() => self.text(&node.text, left + 12 + bars + badge, text, false),
            _ => self.text(&node.text, left + i32::midpoint(width, badge), text, true),
        }
        self.out.push_str("</g>\n");
    }

    /// A round sign for a mark: its shape tells it, not its colour alone.
    fn badge(&mut self, mark: Mark, x: i32, y: i32) {
        if mark == Mark::Ahead {
            let _ = writeln!(self.out, "<circle class=\"bar\" cx=\"{x}\" cy=\"{y}\" r=\"7\" fill=\"none\"/>");
            return;
        }
        let path = match mark {
            Mark::Ahead => "",
            Mark::Done => "M-4 0L-1 3L4 -3",
            Mark::Running => "M-2 -4L4 0L-2 4Z",
            Mark::Waiting => "M0 -5L0 0L4 2",
            Mark::Paused => "M-2 -3L-2 3M3 -3L3 3",
            Mark::Stalled => "M-3 -2Q-2 -5 1 -4Q4 -2 0 1M0 4.5L0 4.6",
            Mark::Exited => "M0 -5L0 1M0 4.5L0 4.6",
            Mark::Failed => "M-3 -3L3 3M3 -3L-3 3",
            Mark::Killed => "M-3 -3L3 -3L3 3L-3 3Z",
        };
        let _ = writeln!(
            self.out,
            "<g transform=\"translate({x} {y})\"><title>{}</title><circle class=\"badge\" r=\"8\"/><path class=\"sign\" d=\"{path}\"/></g>",
            mark.word()
        );
    }

    fn text(&mut self, text: &Text, x: i32, top: i32, middle: bool) {
        let mut y = top;
        for line in &text.lines {
            self.line(line, x, y, middle);
            y += line.height;
        }
    }

    fn line(&mut self, line: &Line, x: i32, top: i32, middle: bool) {
        let y = top + line.height * 3 / 4;
        let anchor = if middle { " middle" } else { "" };
        if let [span] = line.spans.as_slice() {
            let (class, text) = (span.class.name(), escaped(&span.text));
            let _ = writeln!(self.out, "<text class=\"{class}{anchor}\" x=\"{x}\" y=\"{y}\">{text}</text>");
            return;
        }
        let _ = write!(self.out, "<text class=\"line{anchor}\" x=\"{x}\" y=\"{y}\">");
        for span in &line.spans {
            let _ = write!(self.out, "<tspan class=\"{}\">{}</tspan>", span.class.name(), escaped(&span.text));
        }
        self.out.push_str("</text>\n");
    }
}

/// The point on the way to another one at which a round corner begins.
fn towards(from: (i32, i32), to: (i32, i32)) -> (i32, i32) {
    let along = |from: i32, to: i32| from + (to - from).signum() * ((to - from).abs() / 2).min(ROUND);
    (along(from.0, to.0), along(from.1, to.1))
}

/// A text in which nothing means anything to a reader of XML. What XML cannot hold at all is gone before.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
