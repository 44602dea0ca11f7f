//! A picture as a flowchart of Mermaid.

use std::fmt::Write as _;

use super::flow;
use super::run::Mark;
use super::style;
use super::tree::{Item, Kind, StepItem, Tree};
use super::words::{columns, lines, shortened};

/// How wide a line of a label may be.
const LINE: usize = 40;
/// How many lines a text in a label may have.
const LINES: usize = 3;

/// Where the flow comes from: a node, and the word on the arrow.
type From = (String, &'static str);

pub(super) fn write(tree: &Tree) -> String {
    let mut chart = Chart { out: "flowchart TD\n".to_owned() };
    chart.line(&format!("accTitle: {}", escaped(&tree.name)));
    let head = tree.head.iter().flat_map(|(_, told)| told);
    let told: Vec<&str> = head.chain(&tree.notes).map(String::as_str).collect();
    if !told.is_empty() {
        chart.line(&format!("accDescr: {}", escaped(&told.join("; "))));
    }
    if tree.ordered {
        let title = shortened(&tree.name, LINE, columns);
        chart.line(&format!("start([\"{}\"]):::ends", escaped(&title)));
        let out = chart.block(&tree.body, vec![("start".to_owned(), "")]);
        if flow::falls_through(&tree.body) {
            let class = if tree.end == Mark::Ahead { "ends" } else { tree.end.word() };
            chart.line(&format!("finish([\"end\"]):::{class}"));
            chart.arrows(&out, "finish");
        }
    } else {
        chart.set(&tree.body);
    }
    if let Some((mark, _)) = &tree.head
        && !told.is_empty()
    {
        let label: Vec<_> = told.iter().flat_map(|told| lines(told, LINE, LINES, columns)).collect();
        chart.line(&format!("told[\"{}\"]:::{}", labelled(&label), mark.word()));
    }
    for (class, style) in style::mermaid() {
        chart.line(&format!("classDef {class} {style}"));
    }
    chart.out
}

struct Chart {
    out: String,
}

impl Chart {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "    {text}");
    }

    fn arrows(&mut self, from: &[From], to: &str) {
        for (from, word) in from {
            let word = if word.is_empty() { String::new() } else { format!("|{word}|") };
            self.line(&format!("{from} -->{word} {to}"));
        }
    }

    /// The instructions of a block; gives where the flow leaves it.
    fn block(&mut self, items: &[Item], mut from: Vec<From>) -> Vec<From> {
        for item in items {
            let id = format!("n{}", item.id);
            from = match &item.kind {
                Kind::Step(step) => {
                    self.step(&id, step);
                    self.arrows(&from, &id);
                    vec![(id, "")]
                }
                Kind::Return { label, help, mark, exit } => {
                    let class = match (mark, exit) {
                        (Mark::Ahead, None) => "ends",
                        (Mark::Ahead, Some(_)) => "exits",
                        (mark, _) => mark.word(),
                    };
                    let label: Vec<_> =
                        std::iter::once(label.clone()).chain(lines(help, LINE, LINES, columns)).collect();
                    self.line(&format!("{id}([\"{}\"]):::{class}", labelled(&label)));
                    self.arrows(&from, &id);
                    Vec::new()
                }
                Kind::While { predicate, rounds, body } => {
                    self.question(&id, "while", predicate, rounds);
                    self.arrows(&from, &id);
                    let again = self.block(body, vec![(id.clone(), "yes")]);
                    self.arrows(&again, &id);
                    vec![(id, "no")]
                }
                Kind::If { branches, otherwise } => self.branches(&id, branches, otherwise.as_deref(), from),
            };
        }
        from
    }

    fn branches(
        &mut self,
        id: &str,
        branches: &[(String, Vec<Item>)],
        otherwise: Option<&[Item]>,
        from: Vec<From>,
    ) -> Vec<From> {
        let (mut from, mut out) = (from, Vec::new());
        for (index, (predicate, body)) in branches.iter().enumerate() {
            let id = format!("{id}x{index}");
            self.question(&id, if index == 0 { "if" } else { "elif" }, predicate, "");
            self.arrows(&from, &id);
            out.extend(self.block(body, vec![(id.clone(), "yes")]));
            from = vec![(id, "no")];
        }
        match otherwise {
            Some(body) => out.extend(self.block(body, from)),
            None => out.extend(from),
        }
        out
    }

    fn question(&mut self, id: &str, word: &str, predicate: &str, rounds: &str) {
        let mut label = lines(&format!("{word} {predicate}"), LINE, LINES, columns);
        label.extend(Some(rounds.to_owned()).filter(|rounds| !rounds.is_empty()));
        self.line(&format!("{id}{{{{\"{}\"}}}}:::question", labelled(&label)));
    }

    fn step(&mut self, id: &str, step: &StepItem) {
        let mut label = lines(&step.name, LINE, LINES, columns);
        if !step.outputs.is_empty() {
            label.extend(lines(&format!("→ {}", step.outputs.join(", ")), LINE, LINES, columns));
        }
        label.extend(lines(&step.doc, LINE, LINES, columns));
        label.extend(lines(&step.told.join(" · "), LINE, LINES, columns));
        label.extend(lines(&step.there, LINE, LINES, columns));
        let (open, close) = if step.blocking { ("[[", "]]") } else { ("[", "]") };
        self.line(&format!("{id}{open}\"{}\"{close}:::{}", labelled(&label), step.class()));
    }

    /// The steps of a process without an outline, and which followed which.
    fn set(&mut self, items: &[Item]) {
        let mut ids = std::collections::HashMap::new();
        for item in items {
            if let Kind::Step(step) = &item.kind {
                let id = format!("n{}", item.id);
                self.step(&id, step);
                ids.insert(step.point.as_str(), (id, step));
            }
        }
        for item in items {
            let Kind::Step(step) = &item.kind else { continue };
            for (next, times) in &step.followers {
                if let Some((next, _)) = ids.get(next.as_str()) {
                    self.line(&format!("n{} -.->|{times}×| {next}", item.id));
                }
            }
        }
    }
}

/// The lines of a label.
fn labelled(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>")
}

/// A text in which nothing means anything to Mermaid: quotes end labels, `%%` begins comments, what stands between `#`
/// and `;` is a character by its number, and a label is read as Markdown, too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        let means = match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '%' | '{' | '}' | '[' | ']' | '|' | ';' | '\\' | '~' | '*' => true,
            // Within a word it is a letter.
            '_' => !before.is_alphanumeric() || !after.is_alphanumeric(),
            // What begins a line may begin a list.
            '-' | '+' | '=' | '0'..='9' => out.is_empty(),
            _ => false,
        };
        if means {
            let _ = write!(out, "#{};", u32::from(c));
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}
