//! How the processes stand that have not ended. In a folder nobody is their owner, and they have no queues.

use super::index::{Entry, Index};
use super::journal::View;
use super::{Inner, State};
use crate::store::{Record, Standing, StandingPage, StoreResult};

impl Inner {
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
