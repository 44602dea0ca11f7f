//! All that can be seen of a store.

use std::fmt::Debug;

use procession::store::{Page, Snapshot, StoreResult, WorkerRow};
use procession::{ProcessId, ProcessState};

use super::call::{KEYS, PROCESSES, TAGS};
use super::side::{Side, pid};

/// What was asked, and what was answered.
pub(super) type Seen = (String, String);
type Sight = Vec<Seen>;

fn see<T: Debug>(sight: &mut Sight, question: impl Into<String>, answer: StoreResult<T>) {
    let answer = answer.map_err(|error| error.kind());
    sight.push((question.into(), format!("{answer:?}")));
}

impl Side {
    /// All that there is.
    pub(super) async fn sight(&self, shared: bool) -> Vec<Seen> {
        let mut sight = Vec::new();
        for process in 0..PROCESSES.len() {
            self.see_process(&mut sight, &pid(process)).await;
        }
        for key in KEYS {
            see(&mut sight, format!("find {key:?}"), self.read().find(key).await);
        }
        sight.extend(self.listings(2, shared).await);
        sight
    }

    /// All that is listed, in pages of this many; the workers, where the store is shared.
    pub(super) async fn listings(&self, most: usize, shared: bool) -> Vec<Seen> {
        let mut sight = Vec::new();
        self.see_lists(&mut sight, most).await;
        self.see_requests(&mut sight).await;
        if shared {
            see(&mut sight, "workers", self.workers().await);
        }
        sight
    }

    async fn see_process(&self, sight: &mut Sight, pid: &ProcessId) {
        let store = self.read();
        let record = store.load(pid).await;
        let there = !matches!(record, Ok(None));
        see(sight, format!("load {pid}"), record);
        see(sight, format!("history of {pid}"), store.history(pid).await);
        if !there {
            // The history of one that is not there stands for the rest; listings show what else is left of it.
            return;
        }
        see(sight, format!("termination of {pid}"), store.termination(pid).await);
        see(sight, format!("children of {pid}"), store.children(pid).await);
        see(sight, format!("report of {pid}"), store.report(pid).await);
        for name in ["memo 0", "memo 1"] {
            see(sight, format!("{name} of {pid}"), store.memo(pid, 1, name).await);
        }
        let snapshots = store.snapshots_of(pid).await;
        if snapshots.as_ref().is_ok_and(|snapshots| !snapshots.is_empty()) {
            for tag in TAGS {
                see(sight, format!("snapshot {tag:?} of {pid}"), store.load_snapshot(pid, tag).await);
            }
        }
        see(sight, format!("snapshots of {pid}"), snapshots);
    }

    async fn see_lists(&self, sight: &mut Sight, most: usize) {
        use ProcessState::{Excepted, Finished, Killed, Waiting};
        see(sight, "unfinished", self.pages(most, None).await);
        for states in [vec![], vec![Waiting], vec![Finished, Excepted, Killed]] {
            see(sight, format!("in {states:?}"), self.pages(most, Some(states)).await);
        }
        let store = self.read();
        let (mut owed, mut after) = (Vec::new(), None);
        loop {
            let page = store.owed(after.take(), most).await;
            let Some((pid, reply)) = page.as_ref().ok().and_then(|page| page.last()) else { break };
            after = Some((pid.clone(), reply.id.clone()));
            owed.push(page);
        }
        sight.push(("owed".to_owned(), format!("{owed:?}")));
        let (mut snapshots, mut after) = (Vec::new(), None);
        loop {
            let page = store.snapshots(after.take(), most).await;
            let Some(Snapshot { pid, tag, .. }) = page.as_ref().ok().and_then(|page| page.last()) else { break };
            after = Some((pid.clone(), tag.clone()));
            snapshots.push(page);
        }
        sight.push(("snapshots".to_owned(), format!("{snapshots:?}")));
    }

    /// All pages of processes in some states, or of the unfinished: their ids, since the rest is read of each.
    async fn pages(&self, most: usize, states: Option<Vec<ProcessState>>) -> StoreResult<Vec<Vec<String>>> {
        let store = self.read();
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let Page { records, unreadable, next } = match &states {
                None => store.unfinished(after, most).await?,
                Some(states) => store.list(states.clone(), after, most).await?,
            };
            assert_eq!(unreadable, []);
            pages.push(records.iter().map(|record| format!("{} {:?}", record.pid, record.state)).collect());
            after = next;
            if next.is_none() {
                return Ok(pages);
            }
        }
    }

    async fn see_requests(&self, sight: &mut Sight) {
        let store = self.read();
        let middle = self.requests.get(self.requests.len() / 2).copied();
        for after in [None, middle] {
            let rows = store.requests(after).await.map(|rows| {
                let place = |row: &_| self.requests.iter().position(|given| given == row);
                rows.into_iter().map(|row| (place(&row.id), row.pid, row.request)).collect::<Vec<_>>()
            });
            see(sight, format!("requests after {}", after.map_or("none", |_| "the middle")), rows);
        }
    }

    /// Without the times, which are each store's own.
    async fn workers(&self) -> StoreResult<Vec<String>> {
        let tell = |row: WorkerRow| {
            let WorkerRow { epoch, worker, slots_used, owned, alive, .. } = row;
            format!("{:?}: {worker:?} uses {slots_used}, owns {owned}, alive: {alive}", self.place_of(epoch))
        };
        Ok(self.read().workers().await?.into_iter().map(tell).collect())
    }
}
