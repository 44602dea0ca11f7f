//! A picture for a terminal: one line an instruction, and a line on the left that shows how the flow goes.

use std::fmt::Write as _;

use super::flow;
use super::run::Mark;
use super::tree::{Item, Kind, StepItem, Tree};
use super::words::{columns, lines, shortened};

/// The least width: below, there is no room for names.
const LEAST: usize = 20;
/// Lines of a text that stands below an instruction or the picture.
const LINES: usize = 4;

/// One instruction.
struct Row {
    /// The lines on its left.
    before: String,
    /// What stands there in the lines below.
    below: String,
    mark: Option<Mark>,
    /// `while `, and the like.
    word: &'static str,
    name: String,
    outputs: String,
    /// What a run tells of it.
    told: String,
    /// Why it failed, since when it runs.
    there: String,
    doc: String,
}

pub(super) fn write(tree: &Tree, width: usize, colour: bool) -> String {
    let mut rows = Rows { rows: Vec::new(), ordered: tree.ordered };
    rows.block(&tree.body, "", false, tree.ordered && flow::falls_through(&tree.body));
    if tree.ordered && flow::falls_through(&tree.body) {
        let mark = (tree.end != Mark::Ahead).then_some(tree.end);
        rows.push(Row { mark, name: "◎ end".to_owned(), ..Row::new("╰─ ", "   ") });
    }
    let mut page = Page { out: String::new(), width: width.max(LEAST), colour };
    page.head(tree);
    let labels = rows.rows.iter().filter(|row| !row.told.is_empty()).map(Row::columns);
    let told = rows.rows.iter().map(|row| columns(&row.told)).max().unwrap_or_default();
    // What runs tell stands in one column, where that leaves room for it.
    let column = labels.max().unwrap_or_default().min(page.width.saturating_sub(told + 2));
    rows.rows.iter().for_each(|row| page.row(row, column));
    tree.notes.iter().for_each(|note| page.paragraph("", note, "2"));
    page.out
}

/// The sign of a mark.
fn sign(mark: Mark) -> char {
    match mark {
        Mark::Ahead => '·',
        Mark::Done => '✓',
        Mark::Running => '●',
        Mark::Waiting => '…',
        Mark::Paused => '‖',
        Mark::Stalled => '?',
        Mark::Exited => '!',
        Mark::Failed => '✗',
        Mark::Killed => '■',
    }
}

/// The number of its colour in an escape code.
fn colour_of(mark: Mark) -> &'static str {
    match mark {
        Mark::Ahead => "2",
        Mark::Done => "32",
        Mark::Running => "1;36",
        Mark::Waiting | Mark::Paused | Mark::Exited => "33",
        Mark::Stalled | Mark::Killed => "35",
        Mark::Failed => "31",
    }
}

impl Row {
    fn new(before: &str, below: &str) -> Self {
        let empty = String::new;
        let (name, outputs, told, there, doc) = (empty(), empty(), empty(), empty(), empty());
        Self {
            before: before.to_owned(),
            below: below.to_owned(),
            mark: None,
            word: "",
            name,
            outputs,
            told,
            there,
            doc,
        }
    }

    fn columns(&self) -> usize {
        let mark = if self.mark.is_some() { 2 } else { 0 };
        columns(&self.before) + mark + columns(self.word) + columns(&self.name) + columns(&self.outputs)
    }
}

struct Rows {
    rows: Vec<Row>,
    ordered: bool,
}

impl Rows {
    fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The instructions of a block. `around` stands on the left of it, and what follows below needs its line.
    fn block(&mut self, items: &[Item], around: &str, looped: bool, more: bool) {
        for (index, item) in items.iter().enumerate() {
            let (first, last) = (index == 0, index + 1 == items.len() && !more);
            let corner = match (looped && first, last) {
                (true, _) => "╭▶ ",
                (false, true) => "╰─ ",
                (false, false) => "├─ ",
            };
            let corner = if self.ordered { corner } else { "•  " };
            let below = format!("{around}{}", if last || !self.ordered { "   " } else { "│  " });
            self.item(item, &format!("{around}{corner}"), &below, around);
        }
    }

    fn item(&mut self, item: &Item, before: &str, below: &str, around: &str) {
        let row = Row::new(before, below);
        match &item.kind {
            Kind::Step(step) => self.step(step, row),
            Kind::Return { label, help, mark, .. } => {
                let word = if *mark == Mark::Ahead { "■ " } else { "" };
                let mark = (*mark != Mark::Ahead).then_some(*mark);
                self.push(Row { mark, word, name: label.clone(), doc: help.clone(), ..row });
            }
            Kind::While { predicate, rounds, body } => {
                self.push(Row { word: "↻ while ", name: predicate.clone(), told: rounds.clone(), ..row });
                let again = flow::falls_through(body);
                self.block(body, below, true, again);
                if again {
                    self.push(Row { word: "again", ..Row::new(&format!("{below}╰─ "), &format!("{below}   ")) });
                }
            }
            Kind::If { branches, otherwise } => {
                let ends = below.ends_with("   ");
                let count = branches.len() + usize::from(otherwise.is_some());
                for (index, (predicate, body)) in branches.iter().enumerate() {
                    let word = if index == 0 { "◇ if " } else { "◇ elif " };
                    let (before, below) = alternative(index, count, ends, before, around);
                    self.push(Row { word, name: predicate.clone(), ..Row::new(&before, &below) });
                    self.block(body, &below, false, false);
                }
                if let Some(body) = otherwise {
                    let (before, below) = alternative(count - 1, count, ends, before, around);
                    self.push(Row { word: "◇ else", ..Row::new(&before, &below) });
                    self.block(body, &below, false, false);
                }
            }
        }
    }

    fn step(&mut self, step: &StepItem, row: Row) {
        let outputs = if step.outputs.is_empty() { String::new() } else { format!(" → {}", step.outputs.join(", ")) };
        let name = if step.blocking { format!("{} [blocking]", step.name) } else { step.name.clone() };
        self.push(Row {
            mark: step.mark,
            name,
            outputs,
            told: step.told.join(" · "),
            there: step.there.clone(),
            doc: step.doc.clone(),
            ..row
        });
    }
}

/// The lines on the left of a branch: one that is not the first hangs on the line of the one before.
fn alternative(index: usize, count: usize, ends: bool, before: &str, around: &str) -> (String, String) {
    let last = ends && index + 1 == count;
    let below = format!("{around}{}", if last { "   " } else { "│  " });
    let before = match (index, last) {
        (0, true) => before.to_owned(),
        (0, false) => before.replace("╰─ ", "├─ "),
        (_, true) => format!("{around}╰╌ "),
        (_, false) => format!("{around}├╌ "),
    };
    (before, below)
}

/// What has been written.
struct Page {
    out: String,
    width: usize,
    colour: bool,
}

impl Page {
    fn head(&mut self, tree: &Tree) {
        let name = shortened(&tree.name, self.width, columns);
        self.paint(&name, "1");
        self.end_line();
        if let Some((mark, told)) = &tree.head {
            let text = told.join(" · ");
            for (index, line) in lines(&text, self.width - 2, LINES, columns).iter().enumerate() {
                let sign = if index == 0 { sign(*mark) } else { ' ' };
                self.paint(&format!("{sign} {line}"), colour_of(*mark));
                self.end_line();
            }
        }
    }

    fn row(&mut self, row: &Row, column: usize) {
        let before = self.left(&row.before);
        self.paint(&before, "2");
        let mut room = self.width.saturating_sub(columns(&before));
        let colour = row.mark.map_or("", colour_of);
        if let Some(mark) = row.mark {
            self.paint(&format!("{} ", sign(mark)), colour);
            room = room.saturating_sub(2);
        }
        let word = shortened(row.word, room, columns);
        self.paint(&word, "2");
        room -= columns(&word);
        let name = shortened(&row.name, room, columns);
        let plain = if row.mark.is_some_and(|mark| mark > Mark::Done) { colour } else { "" };
        self.paint(&name, plain);
        room -= columns(&name);
        if room > 4 {
            let outputs = shortened(&row.outputs, room, columns);
            self.paint(&outputs, "34");
            room -= columns(&outputs);
        }
        let gap = (column + 2).saturating_sub(self.width - room).max(2);
        let told = columns(&row.told);
        let beside = told > 0 && gap + told <= room;
        if beside {
            self.out.push_str(&" ".repeat(gap));
            self.paint(&row.told, "2");
        }
        self.end_line();
        let indent = if row.mark.is_some() { "  " } else { "" };
        let below = format!("{}{indent}", row.below);
        if !beside {
            self.paragraph(&below, &row.told, "2");
        }
        self.paragraph(&below, &row.there, colour);
        self.paragraph(&below, &row.doc, "2;3");
    }

    /// A text in lines of their own.
    fn paragraph(&mut self, left: &str, text: &str, colour: &str) {
        let left = if left.is_empty() { String::new() } else { self.left(&format!("{left}  ")) };
        let room = self.width.saturating_sub(columns(&left)).max(1);
        for line in lines(text, room, LINES, columns) {
            self.paint(&left, "2");
            self.paint(&line, colour);
            self.end_line();
        }
    }

    /// The lines on the left, no wider than half of the page: the outermost ones give way, and their number stands there.
    fn left(&self, lines: &str) -> String {
        let (all, most) = (lines.chars().count(), self.width / 2);
        if all <= most {
            return lines.to_owned();
        }
        let mut left = format!("…{} ", (all - most).div_ceil(3) + 1);
        let kept = most - left.chars().count();
        left.extend(lines.chars().skip(all - kept));
        left
    }

    fn paint(&mut self, text: &str, colour: &str) {
        if self.colour && !colour.is_empty() && !text.is_empty() {
            let _ = write!(self.out, "\u{1b}[{colour}m{text}\u{1b}[0m");
        } else {
            self.out.push_str(text);
        }
    }

    fn end_line(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.out.push('\n');
    }
}
