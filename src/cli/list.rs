//! Which processes there are.

use procession_runtime::store::Summary;
use serde_json::{Value, json};

use super::arguments::List;
use super::config::Opened;
use super::fault::Fault;
use super::print::{Printer, ago, time};
use super::select;

/// More than these are not counted.
const COUNTED: u64 = 10_000_000;

pub(super) async fn list(opened: &Opened, printer: Printer, list: &List) -> Result<(), Fault> {
    if list.count {
        let filter = select::filter(&list.filtered)?;
        let count = match &list.filtered.tree {
            Some(tree) => select::within(opened, tree, &filter).await?.len() as u64,
            None => opened.store.count(filter, COUNTED).await?,
        };
        return if printer.json { printer.json(&json!({"count": count})) } else { printer.line(&count.to_string()) };
    }
    let (processes, more) = select::matching(opened, &list.filtered, list.limit, list.oldest).await?;
    if printer.json {
        return printer.json(&json!({"processes": processes.iter().map(described).collect::<Vec<_>>(), "more": more}));
    }
    let rows = processes.iter().map(|process| {
        let status = process.status.as_ref().or(process.error.as_ref()).cloned().unwrap_or_default();
        vec![process.pid.to_string(), process.process.clone(), standing(process), ago(process.updated_at), status]
    });
    printer.table(&["id", "process", "state", "updated", "status"], rows)?;
    if more { printer.line("… there are more; `--limit` shows them") } else { Ok(()) }
}

/// How it stands, in words.
fn standing(process: &Summary) -> String {
    let mut words = process.state.as_str().to_owned();
    words.extend(process.exit_code.filter(|code| *code != 0).map(|code| format!(", exit code {code}")));
    words.push_str(if process.paused { ", paused" } else { "" });
    words.push_str(if process.parked.is_some() { ", parked" } else { "" });
    words
}

fn described(process: &Summary) -> Value {
    json!({
        "id": process.pid, "process": process.process, "key": process.key, "parent": process.parent,
        "state": process.state.as_str(), "paused": process.paused, "parked": process.parked, "status": process.status,
        "steps": process.steps, "exit_code": process.exit_code, "error": process.error,
        "open_children": process.open_children, "created_at": time(process.created_at),
        "updated_at": time(process.updated_at),
    })
}
