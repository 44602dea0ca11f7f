//! Which processes there are, by what they are: one after the other is looked at.

use std::ops::Bound;

use super::Kept;
use crate::process::ProcessId;
use crate::store::search::Gathering;
use crate::store::{Search, StoreResult, Summaries};

impl Kept {
    pub(super) fn search(&self, search: &Search) -> StoreResult<Summaries> {
        search.check("processes in memory")?;
        let after = search.after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(if search.oldest_first {
            self.gather(search, self.order.range((after, Bound::Unbounded)))
        } else {
            self.gather(search, self.order.range((Bound::Unbounded, after)).rev())
        })
    }

    fn gather<'k>(&self, search: &Search, places: impl Iterator<Item = (&'k u64, &'k ProcessId)>) -> Summaries {
        let mut gathering = Gathering::new(search);
        for (place, pid) in places {
            if !gathering.goes_on() {
                return gathering.more();
            }
            gathering.go_to(*place);
            if let Some(row) = self.rows.get(pid) {
                gathering.take_record(&row.record);
            }
        }
        gathering.last()
    }
}
