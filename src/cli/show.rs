//! Commands that read: one process, and the tree below it.

use procession_runtime::clock::Timestamp;
use procession_runtime::process::{Ended, Progress};
use procession_runtime::store::Record;
use serde_json::{Map, Value, json};

use super::config::Opened;
use super::fault::{Fault, Status};
use super::live::unattended;
use super::print::{Printer, ago, note, plain, span, time};
use super::select;

/// The process of this id, or of the only one that begins so.
pub(super) async fn record(opened: &Opened, id: &str) -> Result<Record, Fault> {
    let pid = select::one(opened, id).await?;
    opened.store.load(&pid).await?.ok_or_else(|| select::not_found(opened, id))
}

/// What a program reads of a process.
pub(super) fn described(record: &Record) -> Result<Value, Fault> {
    let mut described = Map::new();
    let mut put = |name: &str, value: Value| drop(described.insert(name.to_owned(), value));
    put("id", json!(record.pid));
    put("process", json!(record.envelope.process));
    put("version", json!(record.envelope.version));
    put("key", json!(record.key));
    put("parent", json!(record.parent));
    put("state", json!(record.state.as_str()));
    put("paused", json!(record.paused));
    put("parked", json!(record.parked));
    put("status", json!(record.status.text));
    put(
        "progress",
        json!(record.status.progress.map(|progress| {
        json!({"done": progress.done, "total": progress.total, "percent": progress.percent(), "at": time(progress.at)})
    })),
    );
    let (place, step) = place(record).unzip();
    put("place", json!(place));
    put("step", json!(step.flatten()));
    put("steps", json!(record.steps));
    put("open_children", json!(record.open_children));
    put("waits_for", json!(record.awaiting));
    put("inputs", parsed(&record.inputs)?);
    put("outputs", parsed(&record.outputs)?);
    put("ended", record.ended.as_deref().map(parsed).transpose()?.unwrap_or_default());
    put("created_at", json!(time(record.created_at)));
    put("updated_at", json!(time(record.updated_at)));
    Ok(Value::Object(described))
}

pub(super) fn parsed(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text)
        .map_err(|error| Fault::new(Status::Backend, format!("what the store has of the process is damaged: {error}")))
}

/// Where in its control flow it is: `at` or `after` a step, or at which it goes on when it is resumed.
fn place(record: &Record) -> Option<(String, Option<String>)> {
    match serde_json::from_str(&record.position).ok()? {
        Value::String(place) => Some((place, None)),
        Value::Object(position) => {
            let (place, what) = position.into_iter().next()?;
            Some((place, what.get("step").and_then(Value::as_str).map(str::to_owned)))
        }
        _ => None,
    }
}

/// The same in words.
pub(super) fn at(record: &Record) -> Option<String> {
    Some(match place(record)? {
        (place, None) => place,
        (place, Some(step)) => format!("{place} `{step}`"),
    })
}

/// How it stands, in words.
pub(super) fn standing(record: &Record) -> String {
    let ended = record.ended.as_deref().and_then(|ended| serde_json::from_str::<Ended>(ended).ok());
    let mut words = match ended {
        Some(ended) => ended.to_string(),
        None => record.state.as_str().to_owned(),
    };
    if record.paused {
        words.push_str(", paused");
    }
    if let Some(reason) = &record.parked {
        words.push_str(", parked: ");
        words.push_str(reason);
    }
    words
}

/// The same of a process that nobody is known to run, and why: it is never said to be running.
pub(super) fn attended(standing: String, why: Option<&str>) -> String {
    match (why, standing.strip_prefix("running")) {
        (None, _) => standing,
        (Some(why), Some(rest)) => format!("not running, {why}{rest}"),
        (Some(why), None) => format!("{standing}, {why}"),
    }
}

/// `40 % (4 of 10)`, or what is known of it.
pub(super) fn amount(progress: &Progress) -> String {
    match (progress.percent(), progress.total) {
        (Some(percent), Some(total)) => format!("{percent} % ({} of {total})", progress.done),
        _ => format!("{} done", progress.done),
    }
}

/// What it waits for, in words; with the present time, how long still.
pub(super) fn waits(record: &Record, now: Option<Timestamp>) -> Option<String> {
    let awaiting = &record.awaiting;
    let mut waits = Vec::new();
    if !awaiting.children.is_empty() {
        let all = awaiting.children.len() as u64;
        let ended = all.saturating_sub(record.open_children);
        waits.push(format!("children, {ended} of {all} ended"));
    }
    waits.extend(awaiting.wake_at.map(|wake_at| match now {
        Some(now) if now < wake_at => format!("{} more", span(wake_at.since(now))),
        _ => time(wake_at),
    }));
    waits.extend(awaiting.resume.as_ref().map(|text| format!("a resume: {text}")));
    (!waits.is_empty()).then(|| waits.join("; "))
}

pub(super) async fn show(opened: &Opened, printer: Printer, id: &str) -> Result<(), Fault> {
    let record = record(opened, id).await?;
    if printer.json {
        return printer.json(&described(&record)?);
    }
    let why = unattended(opened, &record.pid).await?;
    let lines = [
        ("id", Some(record.pid.to_string())),
        ("process", Some(format!("{}, version {}", record.envelope.process, record.envelope.version))),
        ("key", record.key.clone()),
        ("parent", record.parent.as_ref().map(ToString::to_string)),
        ("state", Some(attended(standing(&record), why.as_deref()))),
        ("status", record.status.text.clone()),
        ("progress", record.status.progress.map(|progress| amount(&progress))),
        ("place", at(&record)),
        ("waits for", waits(&record, None)),
        ("steps", Some(record.steps.to_string())),
        ("created", Some(format!("{}, {}", time(record.created_at), ago(record.created_at)))),
        ("updated", Some(format!("{}, {}", time(record.updated_at), ago(record.updated_at)))),
        ("inputs", Some(record.inputs.to_string())),
        ("outputs", Some(record.outputs.clone())),
    ];
    let lines = lines.into_iter().filter_map(|(name, value)| Some(format!("{name:<10} {}\n", value?)));
    printer.text(&plain(&lines.collect::<String>()))
}

pub(super) async fn report(opened: &Opened, printer: Printer, id: &str) -> Result<(), Fault> {
    let mut nodes = Vec::new();
    let visit = |_, record: Record| {
        nodes.push((record.pid, record.envelope.process));
        Ok(())
    };
    if select::walk(opened, id, visit).await? {
        note(&format!("the tree of `{id}` has more than {} processes; the report is of the first ones", select::TREE));
    }
    let mut lines = Vec::new();
    for node in &nodes {
        let report = opened.store.report(&node.0).await?;
        lines.extend(report.into_iter().map(|line| (line.at, node, line.text)));
    }
    // Of the same time in the order of the tree.
    lines.sort_by_key(|(at, ..)| *at);
    if printer.json {
        let lines = lines
            .iter()
            .map(|(at, (pid, process), text)| json!({"at": time(*at), "id": pid, "process": process, "text": text}));
        return printer.json(&lines.collect::<Vec<_>>());
    }
    lines
        .iter()
        .try_for_each(|(at, (pid, process), text)| printer.line(&format!("{} {process} {pid}: {text}", time(*at))))
}

pub(super) async fn checkpoints(opened: &Opened, printer: Printer, id: &str) -> Result<(), Fault> {
    let record = record(opened, id).await?;
    let snapshots = opened.store.snapshots_of(&record.pid).await?;
    if printer.json {
        let snapshots = snapshots.iter().map(|snapshot| {
            json!({"tag": snapshot.tag, "at": time(snapshot.at), "state": snapshot.state.as_str(), "steps": snapshot.steps})
        });
        return printer.json(&snapshots.collect::<Vec<_>>());
    }
    let rows = snapshots.iter().map(|snapshot| {
        vec![snapshot.tag.clone(), time(snapshot.at), snapshot.state.as_str().to_owned(), snapshot.steps.to_string()]
    });
    printer.table(&["tag", "at", "state", "steps"], rows)
}

/// A process as it was when it was saved under a tag.
pub(super) async fn saved(opened: &Opened, id: &str, tag: &str) -> Result<Record, Fault> {
    let pid = select::one(opened, id).await?;
    let snapshot = opened.store.load_snapshot(&pid, tag).await?;
    snapshot.ok_or_else(|| {
        Fault::new(Status::NotFound, format!("process `{id}` has no checkpoint `{tag}` in {}", opened.address))
            .next(format!("procession checkpoint list {id}"))
    })
}

pub(super) async fn checkpoint(opened: &Opened, printer: Printer, id: &str, tag: &str) -> Result<(), Fault> {
    let snapshot = saved(opened, id, tag).await?;
    let mut described = described(&snapshot)?;
    described["context"] = parsed(&snapshot.context)?;
    described["position"] = parsed(&snapshot.position)?;
    printer.json(&described)
}
