//! Which processes are meant: by id, by the beginning of one, or by what they are.

use std::time::SystemTime;

use procession_runtime::ProcessId;
use procession_runtime::clock::Timestamp;
use procession_runtime::store::{Comparison, Condition, Filter, Search, Summary, TextIs};

use super::arguments::Filtered;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::print::note;

/// So many are asked for at a time.
const PAGE: usize = 1_000;

/// What the options of a command say.
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
