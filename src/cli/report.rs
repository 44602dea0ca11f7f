//! What the steps of processes reported, in order.

use procession_runtime::ProcessId;
use procession_runtime::clock::Timestamp;
use serde_json::json;

use super::config::Opened;
use super::fault::Fault;
use super::print::{Array, Printer, note, time};
use super::select::{self, Selected, TREE};

/// So many lines are kept in memory, and as many again: a tree as large as may be has a hundred times as many.
const LINES: usize = 100_000;

/// What a step said.
#[derive(Debug)]
struct Line {
    at: Timestamp,
    /// Which of the processes.
    of: usize,
    text: String,
}

/// The latest lines.
#[derive(Debug)]
struct Latest {
    kept: Vec<Line>,
    most: usize,
    /// Whether earlier ones are left out.
    cut: bool,
}

impl Latest {
    fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, cut: false }
    }

    fn add(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.kept.extend(lines);
        if self.kept.len() > 2 * self.most {
            self.cut();
        }
    }

    fn cut(&mut self) {
        // Of the same time in the order of the tree.
        self.kept.sort_by_key(|line| (line.at, line.of));
        let over = self.kept.len().saturating_sub(self.most);
        self.kept.drain(..over);
        self.cut |= over > 0;
    }
}

/// What processes and all below them reported.
pub(super) async fn report(opened: &Opened, printer: Printer, selected: &Selected) -> Result<(), Fault> {
    let roots = select::roots(opened, printer, selected).await?;
    let mut nodes: Vec<(ProcessId, String)> = Vec::new();
    let more = select::walk(opened, roots, |record| {
        nodes.push((record.pid, record.envelope.process));
        Ok(())
    });
    if more.await? {
        let of = selected.root().map_or("there are".to_owned(), |id| format!("the tree of `{id}` has"));
        note(&format!("{of} more than {TREE} processes; the report is of the first ones"));
    }
    let mut lines = Latest::new(LINES);
    for (of, (pid, _)) in nodes.iter().enumerate() {
        let report = opened.store.report(pid).await?;
        lines.add(report.into_iter().map(|line| Line { at: line.at, of, text: line.text }));
    }
    lines.cut();
    if lines.cut {
        note(&format!("there are more than {LINES} lines; these are the latest"));
    }
    let mut array = Array::new(printer);
    for Line { at, of, text } in lines.kept {
        let Some((pid, process)) = nodes.get(of) else { continue };
        if printer.json {
            array.add(&json!({"at": time(at), "id": pid, "process": process, "text": text}))?;
        } else {
            printer.line(&format!("{} {process} {pid}: {text}", time(at)))?;
        }
    }
    if printer.json { array.end() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lines_are_kept_in_order() {
        let line = |at: i64, of: usize| Line { at: Timestamp::from_millis(at), of, text: String::new() };
        let mut lines = Latest::new(3);
        for of in 0..4 {
            lines.add((0..3).map(|at| line(at, of)));
            assert!(lines.kept.len() <= 6, "{}", lines.kept.len());
        }
        lines.cut();
        let kept: Vec<_> = lines.kept.iter().map(|line| (line.at.as_millis(), line.of)).collect();
        assert_eq!((kept, lines.cut), (vec![(2, 1), (2, 2), (2, 3)], true));
        let mut few = Latest::new(3);
        few.add([line(2, 0), line(1, 1)]);
        few.cut();
        assert_eq!((few.kept[0].of, few.cut), (1, false));
    }
}
