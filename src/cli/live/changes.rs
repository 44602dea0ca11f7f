//! A line, or a JSON document, for each change of a process.

use std::collections::HashMap;

use procession_runtime::ProcessId;
use serde_json::json;

use super::line::{Telling, line, object};
use super::screen::To;
use super::tree::{Node, Trees};
use crate::cli::config::Opened;
use crate::cli::fault::Fault;
use crate::cli::print::time;

/// What was told last of each.
#[derive(Debug)]
pub(super) struct Changes {
    json: bool,
    told: HashMap<ProcessId, String>,
}

impl Changes {
    pub(super) fn new(json: bool) -> Self {
        Self { json, told: HashMap::new() }
    }

    /// Tells what has changed.
    pub(super) async fn tell(&mut self, opened: &Opened, trees: &Trees, to: To) -> Result<(), Fault> {
        let json = self.json;
        for (node, line) in self.since_last(trees) {
            let text = if json {
                let mut object = object(opened, node, trees.at).await?;
                object["at"] = json!(time(trees.at));
                object.to_string() + "\n"
            } else {
                line
            };
            to.write(&text)?;
        }
        Ok(())
    }

    /// What is to be told now, each with its line. What changes by itself, as the time does, is no change.
    pub(super) fn since_last<'t>(&mut self, trees: &'t Trees) -> Vec<(&'t Node, String)> {
        let mut changed = Vec::new();
        for node in &trees.nodes {
            let line = line(node, Telling { now: trees.at, width: None, times: false });
            let pid = &node.look.pid;
            if self.told.get(pid) != Some(&line) {
                changed.push((node, format!("{} {line}\n", time(trees.at))));
                self.told.insert(pid.clone(), line);
            }
        }
        changed
    }
}
