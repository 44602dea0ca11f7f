//! Processes as a whole: lists of them, how those stand that have not ended, and what puts them right or aside. In a folder nobody is
//! their owner, and they have no queues.

use super::index::{Entry, Index};
use super::journal::View;
use super::{Inner, State, names, of_process};
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{
    Epoch, Mended, Page, Record, Search, Standing, StandingPage, StoreErrorKind, StoreResult, Summaries, rules,
};
use std::sync::PoisonError;

/// Which processes a page has.
pub(super) enum Wanted {
    Unfinished,
    In(Vec<ProcessState>),
}

impl Inner {
    pub(super) fn page(&self, wanted: &Wanted, after: Option<u64>, most: usize) -> StoreResult<Page> {
        self.read("list", |view, state| {
            let mut read = None;
            index_of(view, state, &mut read)?.page(view, after, most, |entry| match wanted {
                Wanted::Unfinished => entry.is_unfinished(),
                Wanted::In(states) => entry.is_in(states),
            })
        })
    }

    pub(super) fn search(&self, search: &Search) -> StoreResult<Summaries> {
        search.check(self.disk.root().display())?;
        self.read("search", |view, state| index_of(view, state, &mut None)?.search(view, search))
    }

    /// One process after the other: each is a change of its own, which others need not wait for.
    pub(super) fn mend(&self, epoch: Epoch) -> StoreResult<Mended> {
        let (mut mended, mut after) = (Mended::default(), None);
        self.change(epoch, "mend", &self.disk.root().display().to_string(), |_| Ok(()))?;
        loop {
            let page = self.page(&Wanted::Unfinished, after, limits::SCAN_PAGE)?;
            for record in page.records.iter().filter(|record| record.open_children > 0) {
                let subject = of_process(&record.pid, self.disk.root());
                mended.children += self.change(epoch, "mend", &subject, |rows| rules::mend(rows, &record.pid))?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(mended),
            }
        }
    }

    /// Puts a process aside, also one whose document cannot be read, or does not even tell its id.
    pub(super) fn park(&self, epoch: Epoch, pid: &ProcessId, reason: String) -> StoreResult<()> {
        let subject = of_process(pid, self.disk.root());
        let parked = self.change(epoch, "park", &subject, |rows| rules::park(rows, pid, reason.clone()));
        let name = match &parked {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Some(names::encode(&pid.to_string())),
            Err(error) if error.kind() == StoreErrorKind::NotFound => {
                let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
                state.owned.as_ref().and_then(|owned| owned.index.unreadable(pid)).map(str::to_owned)
            }
            _ => None,
        };
        match name {
            Some(name) => self.change(epoch, "park", &subject, |rows| rows.park_unreadable(pid, &name, reason)),
            None => parked,
        }
    }

    pub(super) fn standing(&self, after: Option<u64>, most: usize) -> StoreResult<StandingPage> {
        self.read("look over the processes in", |view, state| {
            let mut read = None;
            let page = index_of(view, state, &mut read)?.page(view, after, most, Entry::is_open)?;
            let standing = |record: &Record| Ok(Standing::new(record, view.vain_children(record)?));
            let standings = page.records.iter().map(standing).collect::<StoreResult<_>>()?;
            Ok(StandingPage { standings, unreadable: page.unreadable, next: page.next })
        })
    }
}

/// The owner has the index; others read it.
pub(super) fn index_of<'i>(view: &View<'_>, state: &'i State, read: &'i mut Option<Index>) -> StoreResult<&'i Index> {
    match &state.owned {
        Some(owned) => Ok(&owned.index),
        None => Ok(read.insert(Index::read(view)?)),
    }
}
