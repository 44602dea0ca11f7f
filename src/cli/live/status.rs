//! Processes and all below them, once.

use super::line::{Telling, line, object};
use super::screen::{To, lines};
use super::tree::{Trees, Watcher};
use super::{Drawn, coloured};
use crate::cli::Register;
use crate::cli::config::Opened;
use crate::cli::fault::Fault;
use crate::cli::print::{Printer, note};
use crate::cli::select::{Selected, not_found, roots};

/// So many processes are shown.
const TREE: usize = 10_000;

pub(in crate::cli) async fn status(
    register: &Register,
    opened: &Opened,
    printer: Printer,
    selected: &Selected,
) -> Result<(), Fault> {
    let roots = roots(opened, printer, selected).await?;
    let trees = Watcher::new(register, opened, TREE).await?.look(&roots).await?;
    if let (Some(id), true) = (selected.root(), trees.nodes.is_empty()) {
        return Err(not_found(opened, id));
    }
    if !trees.more {
        trees.gone.iter().for_each(|pid| note(&format!("process `{pid}` was deleted meanwhile")));
    }
    if printer.json {
        return document(opened, printer, &trees).await;
    }
    let width = To::Output.is_terminal().then(|| To::Output.size().width);
    printer.text(&text(&trees, width, width.is_some() && coloured()))
}

/// Written one process after the other, as they are read: a document of a large tree need not be in memory.
async fn document(opened: &Opened, printer: Printer, trees: &Trees) -> Result<(), Fault> {
    printer.text(&format!("{{\n  \"more\": {},\n  \"processes\": [", trees.more))?;
    let mut before = "";
    for node in &trees.nodes {
        let object = object(opened, node, trees.at).await?;
        // No text in it has a line end of its own.
        printer.text(&format!("{before}\n    {}", format!("{object:#}").replace('\n', "\n    ")))?;
        before = ",";
    }
    printer.text("\n  ]\n}\n")
}

/// On a terminal as in the live view, however many there are; elsewhere with all that is to be said of each.
pub(super) fn text(trees: &Trees, width: Option<usize>, colour: bool) -> String {
    let more = format!("… and more than {TREE} are not shown");
    let mut shown: Vec<String> = match width {
        Some(width) => {
            let all = super::screen::Size { width, height: usize::MAX };
            let nodes = Trees { more: false, ..trees.clone() };
            lines(&nodes, all, colour).into_iter().map(|line| line.text).collect()
        }
        None => trees
            .nodes
            .iter()
            .map(|node| {
                let told = Telling { now: trees.at, width: None, times: true };
                format!("{}{}", "  ".repeat(node.depth), line(node, told))
            })
            .collect(),
    };
    shown.extend(trees.more.then(|| Drawn::plain(&more, width.unwrap_or(usize::MAX)).text));
    shown.into_iter().map(|line| line + "\n").collect()
}
