//! Which processes there are.

use std::time::Duration;

use procession_runtime::store::Summary;
use serde_json::{Value, json};

use super::arguments::List;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::live::{Drawn, Screen, Size, To};
use super::print::{Printer, ago, table, time};
use super::select;

const HEAD: [&str; 5] = ["id", "process", "state", "updated", "status"];

const MORE: &str = "… there are more; `--limit` shows them";

/// How often the list is drawn anew.
const AGAIN: Duration = Duration::from_secs(1);

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
    if list.watch {
        return watch(opened, printer, list).await;
    }
    let (processes, more) = select::matching(opened, &list.filtered, list.limit, list.oldest).await?;
    if printer.json {
        return printer.json(&json!({"processes": processes.iter().map(described).collect::<Vec<_>>(), "more": more}));
    }
    printer.table(&HEAD, processes.iter().map(row))?;
    if more { printer.line(MORE) } else { Ok(()) }
}

fn row(process: &Summary) -> Vec<String> {
    let status = process.status.as_ref().or(process.error.as_ref()).cloned().unwrap_or_default();
    vec![process.pid.to_string(), process.process.clone(), standing(process), ago(process.updated_at), status]
}

/// Draws the list anew until Ctrl-C. What a program wants to follow, `watch` tells it.
async fn watch(opened: &Opened, printer: Printer, list: &List) -> Result<(), Fault> {
    if printer.json || !To::Output.is_terminal() {
        let next = "procession watch --where FILTER";
        return Err(Fault::new(Status::Usage, "`--watch` needs a terminal").next(next));
    }
    let mut screen = Screen::default();
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        let found = tokio::select! {
            found = select::matching(opened, &list.filtered, list.limit, list.oldest) => found?,
            _ = &mut interrupt => return Ok(To::Output.write("\r\u{1b}[K")?),
        };
        let size = To::Output.size();
        let lines = lines(&found.0, found.1, size);
        To::Output.write(&screen.draw(&lines, size))?;
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = &mut interrupt => return Ok(To::Output.write("\r\u{1b}[K")?),
        }
    }
}

/// As many as a terminal has room for.
fn lines(processes: &[Summary], more: bool, size: Size) -> Vec<Drawn> {
    let room = size.height.saturating_sub(1).max(1);
    let mut lines = table(&HEAD, processes.iter().take(room).map(row), Some(size.width));
    let all = lines.len();
    // A row may have several lines.
    let cut = more || all > room || processes.len() > room;
    if cut {
        lines.truncate(room.saturating_sub(1));
        lines.push(MORE.to_owned());
    }
    lines.iter().map(|line| Drawn::plain(line, size.width)).collect()
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
