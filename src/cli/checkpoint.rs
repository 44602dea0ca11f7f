//! The copies of processes that were saved under a tag.

use clap::{Args, Subcommand};
use procession_runtime::ProcessId;
use procession_runtime::store::Record;
use serde_json::json;

use super::config::Opened;
use super::difference::Compared;
use super::each::Told;
use super::fault::{Fault, Status};
use super::print::{Printer, tabular, time};
use super::select::{Meant, Selected};
use super::show::{described, parsed};

#[derive(Debug, Subcommand)]
pub(super) enum Checkpoints {
    /// Shows which there are
    List(Selected),
    /// Shows one whole
    Show(Tagged),
    /// Shows what changed between one and the present, or another
    Diff(Compared),
}

/// A copy of a process.
#[derive(Debug, Clone, Args)]
pub(super) struct Tagged {
    /// The id of the process, or the beginning of it; left out with `--where`
    #[arg(value_name = "ID")]
    id: String,
    /// Under which it was saved
    #[arg(required_unless_present = "where", conflicts_with = "where")]
    tag: Option<String>,
    #[command(flatten)]
    like: Like,
}

/// Which process, where it is not named by its id.
#[derive(Debug, Clone, Args)]
pub(super) struct Like {
    /// The only process that is like this, as in `list --where`
    #[arg(long = "where", id = "where", value_name = "FILTER")]
    pub(super) filter: Option<String>,
}

impl Like {
    /// The process that is meant, and one or two tags, of what was given one after another: without an id, the tags come first.
    pub(super) fn places<'a>(
        &'a self,
        first: &'a str,
        second: Option<&'a str>,
        third: Option<&'a str>,
    ) -> Result<(Meant<'a>, &'a str, Option<&'a str>), Fault> {
        match (&self.filter, second) {
            (Some(filter), _) => Ok((Meant::Like(filter), first, second)),
            (None, Some(tag)) => Ok((Meant::Id(first), tag, third)),
            // The parser of the arguments has refused it.
            (None, None) => Err(Fault::new(Status::Usage, format!("no checkpoint of `{first}` is named"))
                .next(format!("procession checkpoint list {first}"))),
        }
    }
}

pub(super) async fn list(opened: &Opened, printer: Printer, record: &Record) -> Result<Told, Fault> {
    let snapshots = opened.store.snapshots_of(&record.pid).await?;
    if printer.json {
        let snapshots = snapshots.iter().map(|snapshot| {
            json!({"tag": snapshot.tag, "at": time(snapshot.at), "state": snapshot.state.as_str(), "steps": snapshot.steps})
        });
        return Ok(Told::Document(snapshots.collect()));
    }
    let rows = snapshots.iter().map(|snapshot| {
        vec![snapshot.tag.clone(), time(snapshot.at), snapshot.state.as_str().to_owned(), snapshot.steps.to_string()]
    });
    Ok(Told::Words(tabular(&["tag", "at", "state", "steps"], rows)))
}

/// A process as it was when it was saved under a tag.
pub(super) async fn saved(opened: &Opened, pid: &ProcessId, tag: &str) -> Result<Record, Fault> {
    let snapshot = opened.store.load_snapshot(pid, tag).await?;
    snapshot.ok_or_else(|| {
        Fault::new(Status::NotFound, format!("process `{pid}` has no checkpoint `{tag}` in {}", opened.address))
            .next(format!("procession checkpoint list {pid}"))
    })
}

pub(super) async fn show(opened: &Opened, printer: Printer, tagged: &Tagged) -> Result<(), Fault> {
    let (meant, tag, _) = tagged.like.places(&tagged.id, tagged.tag.as_deref(), None)?;
    let snapshot = saved(opened, &meant.pid(opened).await?, tag).await?;
    let mut described = described(&snapshot)?;
    described["context"] = parsed(&snapshot.context)?;
    described["position"] = parsed(&snapshot.position)?;
    printer.json(&described)
}
