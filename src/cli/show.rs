//! What is told of a process: whole, and in words.

use procession_runtime::clock::Timestamp;
use procession_runtime::process::{Ended, Progress};
use procession_runtime::store::{Look, Record};
use serde_json::{Map, Value, json};

use super::config::Opened;
use super::each::Told;
use super::fault::{Fault, Status};
use super::live::unattended;
use super::print::{Printer, ago, span, time};

/// What a program reads of a process.
pub(super) fn described(record: &Record) -> Result<Value, Fault> {
    let mut described = seen(&Look::from(record))?;
    described["inputs"] = parsed(&record.inputs)?;
    described["outputs"] = parsed(&record.outputs)?;
    described["ended"] = record.ended.as_deref().map(parsed).transpose()?.unwrap_or_default();
    Ok(described)
}

/// The same without what it has in it.
pub(super) fn seen(look: &Look) -> Result<Value, Fault> {
    let mut described = Map::new();
    let mut put = |name: &str, value: Value| drop(described.insert(name.to_owned(), value));
    put("id", json!(look.pid));
    put("process", json!(look.process));
    put("version", json!(look.version));
    put("key", json!(look.key));
    put("parent", json!(look.parent));
    put("state", json!(look.state.as_str()));
    put("paused", json!(look.paused));
    put("parked", json!(look.parked));
    put("status", json!(look.status.text));
    put(
        "progress",
        json!(look.status.progress.map(|progress| {
        json!({"done": progress.done, "total": progress.total, "percent": progress.percent(), "at": time(progress.at)})
    })),
    );
    let (place, step) = place(look).unzip();
    put("place", json!(place));
    put("step", json!(step.flatten()));
    put("steps", json!(look.steps));
    put("open_children", json!(look.open_children));
    put("waits_for", json!(look.awaiting));
    put("ended", look.ended.as_deref().map(parsed).transpose()?.unwrap_or_default());
    put("created_at", json!(time(look.created_at)));
    put("updated_at", json!(time(look.updated_at)));
    Ok(Value::Object(described))
}

pub(super) fn parsed(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text)
        .map_err(|error| Fault::new(Status::Backend, format!("what the store has of the process is damaged: {error}")))
}

/// Where in its control flow it is: `at` or `after` a step, or at which it goes on when it is resumed.
fn place(look: &Look) -> Option<(String, Option<String>)> {
    match serde_json::from_str(&look.position).ok()? {
        Value::String(place) => Some((place, None)),
        Value::Object(position) => {
            // What it has of its streams stands beside.
            let (place, what) = position.into_iter().find(|(place, _)| place != "streams")?;
            Some((place, what.get("step").and_then(Value::as_str).map(str::to_owned)))
        }
        _ => None,
    }
}

/// The same in words.
pub(super) fn at(look: &Look) -> Option<String> {
    Some(match place(look)? {
        (place, None) => place,
        (place, Some(step)) => format!("{place} `{step}`"),
    })
}

/// How it stands, in words.
pub(super) fn standing(look: &Look) -> String {
    let ended = look.ended.as_deref().and_then(|ended| serde_json::from_str::<Ended>(ended).ok());
    let mut words = match ended {
        Some(ended) => ended.to_string(),
        None => look.state.as_str().to_owned(),
    };
    if look.paused {
        words.push_str(", paused");
    }
    if let Some(reason) = &look.parked {
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

/// Which attempt it is, in words, where it is not the first.
pub(super) fn attempt(look: &Look) -> Option<String> {
    look.attempt().filter(|attempt| *attempt > 1).map(|attempt| format!("attempt {attempt}"))
}

/// What it waits for, in words; with the present time, how long still.
pub(super) fn waits(look: &Look, now: Option<Timestamp>) -> Option<String> {
    let awaiting = &look.awaiting;
    let mut waits = Vec::new();
    if !awaiting.children.is_empty() {
        let all = awaiting.children.len() as u64;
        let ended = all.saturating_sub(look.open_children);
        waits.push(format!("children, {ended} of {all} ended"));
    }
    waits.extend(awaiting.wake_at.map(|wake_at| match now {
        Some(now) if now < wake_at => format!("{} more", span(wake_at.since(now))),
        _ => time(wake_at),
    }));
    waits.extend(awaiting.resume.as_ref().map(|text| format!("a resume: {text}")));
    let streams = awaiting.streams.iter().map(|port| format!("`{port}`")).collect::<Vec<_>>().join(" or ");
    waits.extend((!streams.is_empty()).then(|| format!("an item of stream {streams}")));
    (!waits.is_empty()).then(|| waits.join("; "))
}

/// A process whole.
pub(super) async fn show(opened: &Opened, printer: Printer, record: &Record) -> Result<Told, Fault> {
    if printer.json {
        return Ok(Told::Document(described(record)?));
    }
    let why = unattended(opened, &record.pid).await?;
    let look = Look::from(record);
    let lines = [
        ("id", Some(record.pid.to_string())),
        ("process", Some(format!("{}, version {}", record.envelope.process, record.envelope.version))),
        ("key", record.key.clone()),
        ("parent", record.parent.as_ref().map(ToString::to_string)),
        ("state", Some(attended(standing(&look), why.as_deref()))),
        ("status", record.status.text.clone()),
        ("progress", record.status.progress.map(|progress| amount(&progress))),
        ("place", at(&look)),
        ("waits for", waits(&look, None)),
        ("steps", Some(record.steps.to_string())),
        ("created", Some(format!("{}, {}", time(record.created_at), ago(record.created_at)))),
        ("updated", Some(format!("{}, {}", time(record.updated_at), ago(record.updated_at)))),
        ("inputs", Some(record.inputs.to_string())),
        ("outputs", Some(record.outputs.clone())),
    ];
    let lines = lines.into_iter().filter_map(|(name, value)| Some(format!("{name:<10} {}\n", value?)));
    Ok(Told::Words(lines.collect()))
}
