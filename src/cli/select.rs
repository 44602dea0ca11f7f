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
use super::print::note;

/// So many are asked for at a time.
const PAGE: usize = 1_000;

/// So many processes of a tree are looked at.
pub(super) const TREE: usize = 10_000;

/// So many are changed or written by one command.
const MOST: usize = 10_000;

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
    let more = walk(opened, id, |_, record| {
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

/// Shows a process and all below it, with how far below, in the order in which they were launched; tells whether there are more.
pub(super) async fn walk(
    opened: &Opened,
    id: &str,
    mut visit: impl FnMut(usize, Record) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let store = &opened.store;
    let mut seen = 0;
    let mut left = VecDeque::from([(0, one(opened, id).await?)]);
    while let Some((depth, pid)) = left.pop_front() {
        if seen == TREE {
            return Ok(true);
        }
        let Some(record) = store.load(&pid).await? else {
            // One that was deleted since its parent was read.
            if depth == 0 {
                return Err(not_found(opened, id));
            }
            continue;
        };
        for child in store.children(&pid).await?.into_iter().rev() {
            left.push_front((depth + 1, child));
        }
        seen += 1;
        visit(depth, record)?;
    }
    Ok(false)
}

/// The processes that are meant: those that are named have to be there; of the others, those that have not ended, where only
/// these are of use.
pub(super) async fn chosen(opened: &Opened, selected: &Selected, alive: bool) -> Result<Vec<Summary>, Fault> {
    let mut chosen = Vec::with_capacity(selected.ids.len());
    let mut known = HashSet::new();
    for id in &selected.ids {
        let pid = one(opened, id).await?;
        let record = opened.store.load(&pid).await?.ok_or_else(|| not_found(opened, id))?;
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
pub(super) async fn one(opened: &Opened, id: &str) -> Result<ProcessId, Fault> {
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

pub(super) fn not_found(opened: &Opened, id: &str) -> Fault {
    Fault::new(Status::NotFound, format!("there is no process `{id}` in {}", opened.address)).next("procession list")
}
