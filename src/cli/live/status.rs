//! A process and all below it, once.

use serde_json::{Value, json};

use super::line::{Telling, line, object};
use super::screen::{To, lines};
use super::tree::{Trees, Watcher};
use super::{Drawn, coloured};
use crate::cli::Register;
use crate::cli::config::Opened;
use crate::cli::fault::Fault;
use crate::cli::print::Printer;
use crate::cli::select;
use crate::cli::select::not_found;

/// So many processes of a tree are shown.
const TREE: usize = 10_000;

pub(in crate::cli) async fn status(
    register: &Register,
    opened: &Opened,
    printer: Printer,
    id: &str,
) -> Result<(), Fault> {
    let pid = select::one(opened, id).await?;
    let trees = Watcher::new(register, opened, TREE).await?.look(&[pid]).await?;
    if trees.nodes.is_empty() {
        return Err(not_found(opened, id));
    }
    if printer.json {
        return printer.json(&document(&trees)?);
    }
    let width = To::Output.is_terminal().then(|| To::Output.size().width);
    printer.text(&text(&trees, width, width.is_some() && coloured()))
}

fn document(trees: &Trees) -> Result<Value, Fault> {
    let processes = trees.nodes.iter().map(|node| object(node, trees.at)).collect::<Result<Vec<_>, Fault>>()?;
    Ok(json!({"processes": processes, "more": trees.more}))
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
