//! The order of creation, which no folder has: read from the documents, and kept in memory by the owner.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use serde::Deserialize;

use super::journal::View;
use super::{failed, names};
use crate::process::{ProcessId, ProcessState};
use crate::store::rules::Row;
use crate::store::search::Gathering;
use crate::store::{Page, Search, StoreErrorKind, StoreResult, Summaries};

/// What must be known of a process to list it.
#[derive(Debug)]
pub(super) struct Entry {
    pid: ProcessId,
    parked: bool,
    state: Result<ProcessState, Unreadable>,
}

/// A document that cannot be read.
#[derive(Debug)]
struct Unreadable {
    name: String,
    reason: String,
}

impl Entry {
    pub(super) fn is_unfinished(&self) -> bool {
        // What cannot be read may be unfinished.
        !self.parked && self.is_open()
    }

    /// Whether it has not ended, for all that is known.
    pub(super) fn is_open(&self) -> bool {
        !self.state.as_ref().is_ok_and(|state| state.is_terminal())
    }

    pub(super) fn is_in(&self, states: &[ProcessState]) -> bool {
        states.is_empty() || self.state.as_ref().is_ok_and(|state| states.contains(state))
    }
}

#[derive(Debug, Default)]
pub(super) struct Index {
    by_order: BTreeMap<u64, Entry>,
    orders: HashMap<ProcessId, u64>,
    /// The last place that was given; none is given twice while the store is owned.
    last: u64,
}

/// The beginning of a document.
#[derive(Deserialize)]
struct Head {
    order: u64,
    process: HeadOfProcess,
}

#[derive(Deserialize)]
struct HeadOfProcess {
    pid: ProcessId,
    state: ProcessState,
}

impl Index {
    /// Reads all documents. Those that cannot be read come last.
    pub(super) fn read(view: &View<'_>) -> StoreResult<Self> {
        let failed = |error| failed("list", view.disk().root().display(), error);
        let parked: HashSet<String> = view.list("parked").map_err(failed)?.into_iter().collect();
        let (mut index, mut unreadable) = (Self::default(), Vec::new());
        let mut names = view.list("processes").map_err(failed)?;
        names.sort();
        for name in names {
            // A name that does not hold all of a long id stands for it: only the document knows the id.
            let Some(pid) = names::decode(&name).or_else(|| names::is_short(&name).then(|| name.clone())) else {
                tracing::warn!(name, "a document that is no process lies among them: it is left alone");
                continue;
            };
            let entry = |pid: ProcessId, state| Entry { pid, parked: parked.contains(&name), state };
            let (pid, reason) = match view.document::<Head>(&format!("processes/{name}.json")) {
                Ok(None) => continue,
                Ok(Some(Head { process, .. })) if names::encode(&process.pid.to_string()) != name => {
                    (pid.into(), format!("it is the document of process `{}`", process.pid))
                }
                Ok(Some(Head { order, process })) if !index.by_order.contains_key(&order) => {
                    index.add(order, entry(process.pid, Ok(process.state)));
                    continue;
                }
                Ok(Some(Head { order, process })) => {
                    (process.pid, format!("its place {order} in the order is that of another"))
                }
                Err(error) if super::kind_of(&error) == StoreErrorKind::Corrupt => (pid.into(), error.to_string()),
                Err(error) => return Err(failed(error)),
            };
            unreadable.push(entry(pid, Err(Unreadable { name: name.clone(), reason })));
        }
        for entry in unreadable {
            index.add(index.next_order(), entry);
        }
        Ok(index)
    }

    fn add(&mut self, order: u64, entry: Entry) {
        self.last = self.last.max(order);
        self.orders.insert(entry.pid.clone(), order);
        self.by_order.insert(order, entry);
    }

    pub(super) fn next_order(&self) -> u64 {
        self.last + 1
    }

    /// Notes a row that has been written.
    pub(super) fn note(&mut self, row: &Row) {
        let record = &row.record;
        let entry = Entry { pid: record.pid.clone(), parked: record.parked.is_some(), state: Ok(record.state) };
        self.add(row.order, entry);
    }

    /// Notes that one was put aside whose document cannot be read.
    pub(super) fn park(&mut self, pid: &ProcessId) {
        if let Some(entry) = self.orders.get(pid).and_then(|order| self.by_order.get_mut(order)) {
            entry.parked = true;
        }
    }

    /// The name of the document of a process that cannot be read.
    pub(super) fn unreadable(&self, pid: &ProcessId) -> Option<&str> {
        let entry = self.by_order.get(self.orders.get(pid)?)?;
        entry.state.as_ref().err().map(|unreadable| unreadable.name.as_str())
    }

    pub(super) fn remove(&mut self, pid: &ProcessId) {
        if let Some(order) = self.orders.remove(pid) {
            self.by_order.remove(&order);
        }
    }

    pub(super) fn page(
        &self,
        view: &View<'_>,
        after: Option<u64>,
        most: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> StoreResult<Page> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Page::default();
        for (order, entry) in self.by_order.range((start, Bound::Unbounded)).filter(|(_, entry)| wanted(entry)) {
            if page.records.len() + page.unreadable.len() == most.max(1) {
                return Ok(page);
            }
            page.next = Some(*order);
            let read = match &entry.state {
                Ok(_) => view.record(&entry.pid),
                Err(unreadable) => {
                    page.unreadable.push((entry.pid.clone(), unreadable.reason.clone()));
                    continue;
                }
            };
            match read {
                Ok(record) => page.records.extend(record),
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    page.unreadable.push((entry.pid.clone(), with_source(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        page.next = None;
        Ok(page)
    }

    /// Reads one document after the other.
    pub(super) fn search(&self, view: &View<'_>, search: &Search) -> StoreResult<Summaries> {
        let after = search.after.map_or(Bound::Unbounded, Bound::Excluded);
        if search.oldest_first {
            gather(view, search, self.by_order.range((after, Bound::Unbounded)))
        } else {
            gather(view, search, self.by_order.range((Bound::Unbounded, after)).rev())
        }
    }
}

fn gather<'i>(
    view: &View<'_>,
    search: &Search,
    places: impl Iterator<Item = (&'i u64, &'i Entry)>,
) -> StoreResult<Summaries> {
    let mut gathering = Gathering::new(search);
    for (place, entry) in places {
        if !gathering.goes_on() {
            return Ok(gathering.more());
        }
        gathering.go_to(*place);
        let read = match &entry.state {
            Ok(_) => view.record(&entry.pid),
            Err(unreadable) => {
                gathering.damaged(entry.pid.clone(), unreadable.reason.clone());
                continue;
            }
        };
        match read {
            Ok(Some(record)) => gathering.take_record(&record),
            Ok(None) => {}
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                gathering.damaged(entry.pid.clone(), with_source(&error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(gathering.last())
}

fn with_source(error: &crate::store::StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
