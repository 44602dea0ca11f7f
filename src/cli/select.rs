//! Which processes are meant: by id, by the beginning of one, by what they are, or by the tree that they are in.

use std::collections::{HashSet, VecDeque};
use std::time::SystemTime;

use clap::Args;
use procession_runtime::clock::Timestamp;
use procession_runtime::store::{Comparison, Condition, Filter, Record, Search, Summary, TextIs};
use procession_runtime::{ProcessId, ProcessState};

use super::arguments::Filtered;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::print::{Printer, note};

/// So many are asked for at a time.
const PAGE: usize = 1_000;

/// So many processes of a tree are looked at.
pub(super) const TREE: usize = 10_000;

/// So many are changed or told of by one command.
const MOST: usize = 10_000;

/// So many are named where one was meant.
const NAMED: usize = 10;

/// Which processes a command is for.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Selected {
    /// Their ids, or the beginning of each
    #[arg(value_name = "ID", required_unless_present_any = ["where", "tree"])]
    pub(super) ids: Vec<String>,
    /// Those that are like this, as in `list --where`
    #[arg(long = "where", id = "where", value_name = "FILTER", conflicts_with = "ids")]
    pub(super) filter: Option<String>,
    /// This process and all below it
    #[arg(long, value_name = "ID", conflicts_with = "ids")]
    pub(super) tree: Option<String>,
}

impl Selected {
    /// The only one that is meant, and is named.
    pub(super) fn id(&self) -> Option<&str> {
        match (&self.ids[..], &self.filter, &self.tree) {
            ([id], None, None) => Some(id),
            _ => None,
        }
    }

    /// The same of a process with all below it.
    pub(super) fn root(&self) -> Option<&str> {
        match (&self.tree, &self.filter) {
            (Some(tree), None) => Some(tree),
            _ => self.id(),
        }
    }
}

/// The one process that a command is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meant<'a> {
    /// Of this id, or of the only one that begins so.
    Id(&'a str),
    /// The only one that is like this.
    Like(&'a str),
}

impl Meant<'_> {
    /// Its id. Where it is given, nobody has looked for the process.
    pub(super) async fn pid(self, opened: &Opened) -> Result<ProcessId, Fault> {
        match self {
            Self::Id(id) => one(opened, id).await,
            Self::Like(text) => only(opened, text).await,
        }
    }
}

/// What the options of a command say, but for the tree.
pub(super) fn filter(filtered: &Filtered) -> Result<Filter, Fault> {
    let now = Timestamp::from(SystemTime::now());
    let mut all = Vec::new();
    if !filtered.state.is_empty() {
        all.push(Filter::Or(filtered.state.iter().map(|state| Condition::State(*state).into()).collect()));
    }
    all.extend(filtered.name.as_deref().map(|name| {
        Condition::Name(match name.strip_suffix('*') {
            Some(prefix) => TextIs::Prefix(prefix.to_owned()),
            None => TextIs::Equal(name.to_owned()),
        })
        .into()
    }));
    all.extend(filtered.failed.then(|| Condition::Failed.into()));
    all.extend(filtered.paused.then(|| Condition::Paused.into()));
    all.extend(filtered.since.map(|span| {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let from = Timestamp::from_millis(now.as_millis().saturating_sub(span));
        Condition::Created(Comparison::AtLeast, from).into()
    }));
    if let Some(text) = &filtered.filter {
        let read = Filter::parse(text, now);
        all.push(read.map_err(|error| Fault::new(Status::Usage, format!("{error}\n{}", error.caret())))?);
    }
    Ok(if all.is_empty() { Filter::Every } else { Filter::And(all) })
}

/// The first ones of those that are like that, and whether there may be more.
pub(super) async fn matching(
    opened: &Opened,
    filtered: &Filtered,
    most: usize,
    oldest_first: bool,
) -> Result<(Vec<Summary>, bool), Fault> {
    let filter = filter(filtered)?;
    match &filtered.tree {
        None => found(opened, filter, most, oldest_first).await,
        Some(tree) => {
            let mut within = within(opened, tree, &filter).await?;
            within.sort_by_key(|process| process.created_at);
            if !oldest_first {
                within.reverse();
            }
            let more = within.len() > most;
            within.truncate(most);
            Ok((within, more))
        }
    }
}

/// The first ones of those, and whether there may be more.
pub(super) async fn found(
    opened: &Opened,
    filter: Filter,
    most: usize,
    oldest_first: bool,
) -> Result<(Vec<Summary>, bool), Fault> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = most.saturating_sub(found.len()).min(PAGE);
        let search = Search { filter: filter.clone(), oldest_first, after, most: page };
        let page = opened.store.search(search).await?;
        for (pid, fault) in &page.unreadable {
            note(&format!("process `{pid}` cannot be read: {fault}"));
        }
        found.extend(page.processes);
        after = page.next;
        // A page may have none, and others come after it.
        if after.is_none() || found.len() >= most {
            return Ok((found, after.is_some()));
        }
    }
}

/// Those of a tree that are like that, in the order of the tree.
pub(super) async fn within(opened: &Opened, id: &str, filter: &Filter) -> Result<Vec<Summary>, Fault> {
    let mut within = Vec::new();
    let root = record(opened, id).await?.pid;
    let more = walk(opened, vec![root], |record| {
        let summary = summary(&record)?;
        if filter.matches(&summary, &record.inputs).map_err(|error| damaged(&record.pid, &error))? {
            within.push(summary);
        }
        Ok(())
    })
    .await?;
    if more {
        let what = format!("the tree of `{id}` has more than {TREE} processes");
        return Err(Fault::new(Status::Usage, what).next(format!("procession list --where 'parent = {id}'")));
    }
    Ok(within)
}

/// Shows processes and all below them, each once and before its children, and these in the order in which they were launched; tells
/// whether there are more.
pub(super) async fn walk(
    opened: &Opened,
    roots: Vec<ProcessId>,
    mut visit: impl FnMut(Record) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let store = &opened.store;
    let mut seen = HashSet::new();
    let mut left = VecDeque::from(roots);
    while let Some(pid) = left.pop_front() {
        if seen.contains(&pid) {
            continue;
        }
        if seen.len() == TREE {
            return Ok(true);
        }
        // One that was deleted since it was found is left out.
        let Some(record) = store.load(&pid).await? else { continue };
        for child in store.children(&pid).await?.into_iter().rev() {
            left.push_front(child);
        }
        seen.insert(pid);
        visit(record)?;
    }
    Ok(false)
}

/// The processes that are meant: those that are named have to be there; of the others, those that have not ended, where only
/// these are of use.
pub(super) async fn chosen(opened: &Opened, selected: &Selected, alive: bool) -> Result<Vec<Summary>, Fault> {
    let mut chosen = Vec::with_capacity(selected.ids.len());
    let mut known = HashSet::new();
    for id in &selected.ids {
        let record = record(opened, id).await?;
        if known.insert(record.pid.clone()) {
            chosen.push(summary(&record)?);
        }
    }
    if selected.filter.is_none() && selected.tree.is_none() {
        return Ok(chosen);
    }
    let filter = filter(&Filtered { filter: selected.filter.clone(), ..Filtered::default() })?;
    let filter = if alive { Filter::And(vec![filter, has_not_ended()]) } else { filter };
    if let Some(tree) = &selected.tree {
        return within(opened, tree, &filter).await;
    }
    let (found, more) = found(opened, filter, MOST, true).await?;
    if more {
        let what = format!("more than {MOST} processes are like that");
        return Err(Fault::new(Status::Usage, what).next("say more of them, as with `and created > -1h`"));
    }
    Ok(found)
}

/// The ids of the processes that are meant by a command that reads: what is damaged is told of as well as it can be.
pub(super) async fn pids(opened: &Opened, printer: Printer, selected: &Selected) -> Result<Vec<ProcessId>, Fault> {
    if selected.filter.is_none() && selected.tree.is_none() {
        return named(opened, &selected.ids).await;
    }
    let chosen = chosen(opened, selected, false).await?;
    if chosen.is_empty() && !printer.json {
        note(&format!("no process is like that in {}", opened.address));
    }
    Ok(chosen.into_iter().map(|process| process.pid).collect())
}

/// Those whose trees are meant: what is below a process is told of with it.
pub(super) async fn roots(opened: &Opened, printer: Printer, selected: &Selected) -> Result<Vec<ProcessId>, Fault> {
    match selected.root() {
        Some(root) => Ok(vec![record(opened, root).await?.pid]),
        None => pids(opened, printer, selected).await,
    }
}

/// Each once; all have to be there.
async fn named(opened: &Opened, ids: &[String]) -> Result<Vec<ProcessId>, Fault> {
    let (mut named, mut known) = (Vec::with_capacity(ids.len()), HashSet::new());
    for id in ids {
        let pid = record(opened, id).await?.pid;
        if known.insert(pid.clone()) {
            named.push(pid);
        }
    }
    Ok(named)
}

fn summary(record: &Record) -> Result<Summary, Fault> {
    Summary::of(record).map_err(|error| damaged(&record.pid, &error))
}

fn damaged(pid: &ProcessId, error: &serde_json::Error) -> Fault {
    Fault::new(Status::Backend, format!("what the store has of process `{pid}` is damaged: {error}"))
}

fn has_not_ended() -> Filter {
    let ended = [ProcessState::Finished, ProcessState::Excepted, ProcessState::Killed];
    Filter::Not(Box::new(Filter::Or(ended.map(|state| Condition::State(state).into()).to_vec())))
}

/// The process with this id, or the only one whose id begins so.
async fn one(opened: &Opened, id: &str) -> Result<ProcessId, Fault> {
    let pid = ProcessId::from(id);
    if id.is_empty() || opened.store.load(&pid).await?.is_some() {
        return Ok(pid);
    }
    let (found, _) = found(opened, Condition::Id(TextIs::Prefix(id.to_owned())).into(), 2, false).await?;
    match &found[..] {
        [] => Ok(pid),
        [only] => Ok(only.pid.clone()),
        [one, other, ..] => {
            let what = format!("the ids of more than one process begin with `{id}`: `{}`, `{}`", one.pid, other.pid);
            Err(Fault::new(Status::Usage, what).next(format!("procession list --where 'id = {id}*'")))
        }
    }
}

/// The only process that is like that.
async fn only(opened: &Opened, text: &str) -> Result<ProcessId, Fault> {
    let filter = filter(&Filtered { filter: Some(text.to_owned()), ..Filtered::default() })?;
    let (found, more) = found(opened, filter, NAMED, false).await?;
    match &found[..] {
        [] => {
            let what = format!("no process is like that in {}", opened.address);
            Err(Fault::new(Status::NotFound, what).next("procession list"))
        }
        [only] => Ok(only.pid.clone()),
        several => {
            let several: Vec<_> = several.iter().map(|process| format!("`{}`", process.pid)).collect();
            let more = if more { ", and others" } else { "" };
            let what = format!("more than one process is like that: {}{more}", several.join(", "));
            Err(Fault::new(Status::Usage, what).next("name one by its id, or say more of it"))
        }
    }
}

/// The process of this id, or of the only one that begins so.
pub(super) async fn record(opened: &Opened, id: &str) -> Result<Record, Fault> {
    let pid = one(opened, id).await?;
    opened.store.load(&pid).await?.ok_or_else(|| not_found(opened, id))
}

pub(super) fn not_found(opened: &Opened, id: &str) -> Fault {
    Fault::new(Status::NotFound, format!("there is no process `{id}` in {}", opened.address)).next("procession list")
}
