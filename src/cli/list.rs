//! Which processes there are.

use std::collections::HashSet;
use std::time::Duration;

use procession_runtime::store::{Look, Summary};
use procession_runtime::{ProcessId, ProcessState, limits};
use serde_json::{Value, json};

use super::arguments::List;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::live::{Drawn, Screen, Size, To, leave};
use super::print::{Printer, ago, table, time};
use super::select;
use super::show::attended;

const HEAD: [&str; 5] = ["id", "process", "state", "updated", "status"];

const MORE: &str = "… there are more; `--limit` shows them";

/// How often the list is drawn anew.
const AGAIN: Duration = Duration::from_secs(1);

/// More than these are not counted.
const COUNTED: u64 = 10_000_000;

pub(super) async fn list(opened: &Opened, printer: Printer, list: &List) -> Result<(), Fault> {
    if list.watch && !list.count {
        return watch(opened, printer, list).await;
    }
    if list.count {
        let filter = select::filter(&list.filtered)?;
        let count = match &list.filtered.tree {
            Some(tree) => select::within(opened, tree, &filter).await?.len() as u64,
            None => opened.store.count(filter, COUNTED).await?,
        };
        return if printer.json { printer.json(&json!({"count": count})) } else { printer.line(&count.to_string()) };
    }
    let (processes, more) = select::matching(opened, &list.filtered, list.limit, list.oldest).await?;
    let without_worker = lost(opened, &processes).await?;
    if printer.json {
        let processes = processes.iter().map(|process| described(process, &without_worker));
        return printer.json(&json!({"processes": processes.collect::<Vec<_>>(), "more": more}));
    }
    printer.table(&HEAD, processes.iter().map(|process| row(process, &without_worker)))?;
    if more { printer.line(MORE) } else { Ok(()) }
}

/// Those of them that would run, but whose workers were not heard from.
async fn lost(opened: &Opened, processes: &[Summary]) -> Result<HashSet<ProcessId>, Fault> {
    let runs = processes.iter().filter(|process| process.state == ProcessState::Running && process.parked.is_none());
    let runs: Vec<ProcessId> = runs.map(|process| process.pid.clone()).collect();
    let mut lost = HashSet::new();
    for some in runs.chunks(limits::LOOKED_AT) {
        let looks = opened.store.look(some.to_vec()).await?;
        lost.extend(looks.processes.into_iter().filter(Look::is_lost).map(|look| look.pid));
    }
    Ok(lost)
}

fn row(process: &Summary, lost: &HashSet<ProcessId>) -> Vec<String> {
    let status = process.status.as_ref().or(process.error.as_ref()).cloned().unwrap_or_default();
    let standing = attended(standing(process), lost.contains(&process.pid).then_some("worker lost"));
    vec![process.pid.to_string(), process.process.clone(), standing, ago(process.updated_at), status]
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
            _ = &mut interrupt => break,
        };
        let size = To::Output.size();
        let without_worker = lost(opened, &found.0).await?;
        let lines = lines(&found, &without_worker, size);
        To::Output.write(&screen.draw(&lines, size))?;
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = &mut interrupt => break,
        }
    }
    leave(To::Output);
    Ok(())
}

/// As many as a terminal has room for.
fn lines((processes, more): &(Vec<Summary>, bool), lost: &HashSet<ProcessId>, size: Size) -> Vec<Drawn> {
    let room = size.height.saturating_sub(1).max(1);
    let mut lines = table(&HEAD, processes.iter().take(room).map(|process| row(process, lost)), Some(size.width));
    let all = lines.len();
    // A row may have several lines.
    let cut = all > room || processes.len() > room;
    if cut || *more {
        lines.truncate(room.saturating_sub(1));
        lines.push(if cut { "… there are more than fit".to_owned() } else { MORE.to_owned() });
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

fn described(process: &Summary, lost: &HashSet<ProcessId>) -> Value {
    json!({
        "id": process.pid, "process": process.process, "key": process.key, "parent": process.parent,
        "state": process.state.as_str(), "paused": process.paused, "parked": process.parked, "status": process.status,
        "steps": process.steps, "exit_code": process.exit_code, "error": process.error,
        "open_children": process.open_children, "created_at": time(process.created_at),
        "updated_at": time(process.updated_at), "worker_lost": lost.contains(&process.pid),
    })
}

#[cfg(test)]
mod tests {
    use procession_runtime::clock::Timestamp;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn process(number: usize, status: &str) -> Summary {
        Summary {
            pid: format!("0191f2a4-0000-7000-8000-{number:012}").as_str().into(),
            process: "crystals::Relax".to_owned(),
            key: None,
            parent: None,
            state: ProcessState::Running,
            paused: false,
            parked: None,
            status: Some(status.to_owned()),
            steps: 1,
            exit_code: None,
            error: None,
            open_children: 0,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn no_line_is_wider_and_no_list_higher_than_the_terminal() {
        let status = "結晶 is relaxed \u{1b}[2J\nfor the second time, with a finer grid than before";
        let found = ((0..30).map(|number| process(number, status)).collect(), true);
        let lost = HashSet::from([process(0, "").pid]);
        for (width, height) in [(12, 5), (40, 10), (80, 24), (200, 60)] {
            let lines = lines(&found, &lost, Size { width, height });
            assert!(lines.len() <= height, "{} of {height}", lines.len());
            for line in &lines {
                assert!(
                    line.text.width() <= width && !line.text.contains(char::is_control),
                    "{width}: {:?}",
                    line.text
                );
            }
            assert!(lines.last().is_some_and(|line| line.text.starts_with("… there")), "{width}");
        }
        let wide = lines(&found, &lost, Size { width: 200, height: 60 });
        assert!(wide[1].text.contains("not running, worker lost"), "{:?}", wide[1].text);
    }
}
