//! A line, or a JSON document, for each change of a process.

use std::collections::HashMap;

use procession_runtime::ProcessId;
use serde_json::json;

use super::line::{Telling, line, object};
use super::tree::Trees;
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

    /// What is to be told now. What changes by itself, as the time does, is no change.
    pub(super) fn since_last(&mut self, trees: &Trees) -> Result<String, Fault> {
        let mut text = String::new();
        for node in &trees.nodes {
            let line = line(node, Telling { now: trees.at, width: None, times: false });
            let pid = &node.look.record.pid;
            if self.told.get(pid) == Some(&line) {
                continue;
            }
            let at = time(trees.at);
            if self.json {
                let mut object = object(node, trees.at)?;
                object["at"] = json!(at);
                text.push_str(&object.to_string());
            } else {
                text.extend([&at, " ", &line]);
            }
            text.push('\n');
            self.told.insert(pid.clone(), line);
        }
        Ok(text)
    }
}
