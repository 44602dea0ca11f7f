//! Several workers on one store in memory: leases, claims, and who is told.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

use super::{Kept, MemoryStore, refuse};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::rules::{self, Row};
use crate::store::{
    Claimed, Epoch, Hint, Look, Renewed, Standing, StandingPage, StoreErrorKind, StoreResult, Worker, WorkerRow,
};

/// The workers that have joined, by their epochs.
pub(super) type Workers = BTreeMap<Epoch, Member>;

/// A worker that has joined.
#[derive(Debug)]
pub(super) struct Member {
    worker: Worker,
    slots_used: u32,
    drains: bool,
    lease: Duration,
    joined_at: Timestamp,
    heard_at: Timestamp,
    /// When its lease lapses.
    until: Timestamp,
    /// What came about by itself until then, as a lease lapses, it has been told.
    told: Timestamp,
    called: Arc<Notify>,
}

impl Member {
    fn is_alive(&self, now: Timestamp) -> bool {
        now < self.until
    }

    fn serves(&self, queue: &str) -> bool {
        self.worker.queues.iter().any(|served| served == queue)
    }
}

impl Kept {
    pub(super) fn is_alive(&self, epoch: Epoch) -> bool {
        self.workers.get(&epoch).is_some_and(|member| member.is_alive(self.now))
    }

    /// A worker whose lease has not lapsed.
    fn member(&mut self, epoch: Epoch, operation: &'static str) -> StoreResult<&mut Member> {
        let now = self.now;
        let member = self.workers.get_mut(&epoch).filter(|member| member.is_alive(now));
        member.ok_or_else(|| refuse(StoreErrorKind::Stale, operation, "any"))
    }

    fn live_owner(&self, row: &Row) -> Option<Epoch> {
        row.share.owner.filter(|owner| self.is_alive(*owner))
    }

    /// Whether a process is this worker's. One that has ended is nobody's: what is written of it fails for that.
    pub(super) fn is_own(&self, epoch: Epoch, pid: &ProcessId) -> bool {
        let Some(row) = self.rows.get(pid) else { return true };
        row.share.owner == Some(epoch) || row.record.state.is_terminal()
    }

    /// Whether no other worker has a process.
    pub(super) fn is_free_for(&self, epoch: Epoch, pid: &ProcessId) -> bool {
        let Some(row) = self.rows.get(pid) else { return true };
        self.live_owner(row).is_none_or(|owner| owner == epoch)
    }

    /// Makes all workers stale.
    pub(super) fn dismiss_all(&mut self) {
        for member in std::mem::take(&mut self.workers).into_values() {
            member.called.notify_one();
        }
    }

    pub(super) fn join(&mut self, worker: Worker, lease: Duration) -> Epoch {
        let now = self.now;
        let owners: HashSet<_> = self.rows.values().filter_map(|row| row.share.owner).collect();
        // One that has lapsed is remembered as long as it has something that can be claimed: that is lost with it.
        self.workers.retain(|epoch, member| {
            let lapsed_long_ago = !member.is_alive(now) && now.since(member.until) >= limits::LAPSED_WORKER;
            !lapsed_long_ago || owners.contains(epoch)
        });
        self.epoch.0 += 1;
        self.owned = false;
        let member = Member {
            worker,
            slots_used: 0,
            drains: false,
            lease,
            joined_at: now,
            heard_at: now,
            until: now + lease,
            told: now,
            called: Arc::new(Notify::new()),
        };
        self.workers.insert(self.epoch, member);
        self.epoch
    }

    pub(super) fn renew(&mut self, epoch: Epoch, slots_used: u32) -> StoreResult<Renewed> {
        let now = self.now;
        let member = self.member(epoch, "renew the lease of the worker of")?;
        member.slots_used = slots_used;
        member.heard_at = now;
        member.until = now + member.lease;
        Ok(Renewed::new(member.drains))
    }

    pub(super) fn ask_to_drain(&mut self, epoch: Epoch) -> bool {
        let now = self.now;
        let member = self.workers.get_mut(&epoch).filter(|member| member.is_alive(now));
        member.map(|member| member.drains = true).is_some()
    }

    /// Frees what the worker has, or the one owner, and tells the others.
    pub(super) fn leave(&mut self, epoch: Epoch) {
        let all = std::mem::take(&mut self.owned);
        let freed = self.rows.values_mut().filter(|row| all || row.share.owner == Some(epoch));
        freed.for_each(|row| row.share.owner = None);
        self.workers.remove(&epoch);
        self.call_all();
    }

    pub(super) fn hand_over(&mut self, epoch: Epoch, processes: &[ProcessId]) -> StoreResult<()> {
        self.member(epoch, "hand over")?;
        for pid in processes {
            if let Some(row) = self.rows.get_mut(pid).filter(|row| row.share.owner == Some(epoch)) {
                row.share.owner = None;
            }
        }
        self.call_all();
        Ok(())
    }

    pub(super) fn claim(&mut self, epoch: Epoch, most: usize, attempts: u32) -> StoreResult<Claimed> {
        let now = self.now;
        self.member(epoch, "claim")?.told = now;
        let mut claimed = Claimed::default();
        for pid in self.claimable(epoch, most) {
            let Some(row) = self.rows.get_mut(&pid) else { continue };
            let lost = u32::from(is_lost(&self.workers, row));
            let share = &mut row.share;
            share.attempts += lost;
            share.losses += lost;
            if share.attempts > attempts {
                let reason = format!("its worker was lost {} times without a boundary in between", share.losses);
                row.put_aside(reason.clone());
                claimed.parked.push((pid, reason));
            } else {
                share.owner = Some(epoch);
                claimed.records.push(row.record.clone());
                if share.losses >= limits::SUSPECT {
                    claimed.suspect = Some(pid.clone());
                }
                if share.attempts > 0 {
                    claimed.attempts.push((pid, share.attempts));
                }
            }
        }
        Ok(claimed)
    }

    /// Gives a process up that the worker cannot load; whether it was parked.
    pub(super) fn fail(&mut self, pid: &ProcessId, reason: String, attempts: u32) -> StoreResult<bool> {
        let row = rules::open(self, pid, "give up")?;
        row.share.attempts += 1;
        row.share.owner = None;
        let parked = row.share.attempts >= attempts;
        if parked {
            row.put_aside(reason);
        } else {
            self.call_for(pid);
        }
        Ok(parked)
    }

    pub(super) fn unpark(&mut self, pid: &ProcessId) -> StoreResult<bool> {
        let unparked = rules::unpark(self, pid)?;
        if unparked {
            self.call_for(pid);
        }
        Ok(unparked)
    }

    pub(super) fn standing(&self, after: Option<u64>, most: usize) -> StandingPage {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = StandingPage::default();
        for (order, pid) in self.order.range((start, Bound::Unbounded)) {
            let Some(row) = self.rows.get(pid).filter(|row| !row.record.state.is_terminal()) else { continue };
            if page.standings.len() == most.max(1) {
                return page;
            }
            page.standings.push(self.standing_of(row));
            page.next = Some(*order);
        }
        page.next = None;
        page
    }

    fn standing_of(&self, row: &Row) -> Standing {
        let is_vain = |child: &&ProcessId| self.rows.get(*child).is_none_or(|child| child.record.parked.is_some());
        Standing {
            queue: row.share.queue.clone(),
            priority: row.share.priority,
            // Who has acquired the store has all of them, whoever had them before.
            owner: row.share.owner.filter(|_| !self.owned).map(|owner| (owner, self.is_alive(owner))),
            attempts: row.share.attempts,
            ..Standing::new(&row.record, row.open.iter().filter(is_vain).count())
        }
    }

    pub(super) fn hint(&mut self, epoch: Epoch, hints: Vec<Hint>) {
        let (workers, last) = (&self.workers, self.epoch);
        self.hints.retain(|epoch, _| *epoch == last || workers.contains_key(epoch));
        self.hints.insert(epoch, hints);
    }

    pub(super) fn look(&self, pid: &ProcessId) -> Option<Look> {
        let row = self.rows.get(pid)?;
        let owner = row.share.owner.filter(|_| !self.owned);
        let writer = if self.owned { Some(self.epoch) } else { owner };
        let mut hints = writer.and_then(|writer| self.hints.get(&writer)).into_iter().flatten();
        let hint = hints.find(|hint| hint.pid == *pid && hint.steps == row.record.steps);
        let owner = owner.map(|owner| (owner, self.is_alive(owner)));
        let look = Look { attempts: row.share.attempts, ..Look::from(&row.record) };
        Some(look.attended(owner, hint.map(|hint| hint.progress)))
    }

    /// The processes that a worker may claim, in the order in which they are to run: of suspects, the first one, and none
    /// while it has one at work.
    fn claimable(&self, epoch: Epoch, most: usize) -> Vec<ProcessId> {
        let Some(member) = self.workers.get(&epoch) else { return Vec::new() };
        let asked: HashSet<&ProcessId> = self.requests.values().map(|(pid, _)| pid).collect();
        let can_be_had = |row: &&Row| {
            member.serves(&row.share.queue)
                && self.live_owner(row).is_none()
                && can_go_on(row, self.now, asked.contains(&row.record.pid))
        };
        let mut rows: Vec<_> = self.rows.values().filter(can_be_had).collect();
        rows.sort_by_key(|row| (Reverse(row.share.priority), row.order));
        let is_at_work = |row: &Row| {
            let may_kill = row.share.owner == Some(epoch) && row.share.losses >= limits::SUSPECT;
            may_kill && can_go_on(row, self.now, asked.contains(&row.record.pid))
        };
        let mut taken = self.rows.values().any(is_at_work);
        let losses = |row: &Row| row.share.losses + u32::from(is_lost(&self.workers, row));
        let calm = |row: &&Row| losses(row) < limits::SUSPECT || !std::mem::replace(&mut taken, true);
        rows.into_iter().filter(calm).take(most).map(|row| row.record.pid.clone()).collect()
    }

    pub(super) fn workers(&self) -> Vec<WorkerRow> {
        let owned = |epoch| {
            let unfinished = self.rows.values().filter(|row| !row.record.state.is_terminal());
            unfinished.filter(|row| row.share.owner == Some(epoch)).count() as u64
        };
        let row = |(&epoch, member): (&Epoch, &Member)| WorkerRow {
            epoch,
            worker: member.worker.clone(),
            slots_used: member.slots_used,
            joined_at: member.joined_at,
            heard_at: member.heard_at,
            owned: owned(epoch),
            alive: member.is_alive(self.now),
            drains: member.drains,
        };
        self.workers.iter().map(row).collect()
    }

    /// Tells whoever may have something to do with a process: its worker, or those who can claim it.
    pub(super) fn call_for(&self, pid: &ProcessId) {
        let Some(row) = self.rows.get(pid) else { return };
        match self.live_owner(row).and_then(|owner| self.workers.get(&owner)) {
            Some(member) => member.called.notify_one(),
            None => self.call_queue(&row.share.queue),
        }
    }

    fn call_queue(&self, queue: &str) {
        self.workers.values().filter(|member| member.serves(queue)).for_each(|member| member.called.notify_one());
    }

    fn call_all(&self) {
        self.workers.values().for_each(|member| member.called.notify_one());
    }

    /// When something may come about by itself that a worker has not been told: a lease lapses, or a time has come. At the
    /// latest, its own lease.
    fn next_event(&self, told: Timestamp) -> Option<Timestamp> {
        let leases = self.workers.values().map(|member| member.until);
        let waits = self.rows.values().filter(|row| row.record.state == ProcessState::Waiting);
        let waits = waits.filter(|row| self.live_owner(row).is_none()).filter_map(|row| row.record.awaiting.wake_at);
        leases.chain(waits).filter(|time| *time > told).min()
    }
}

/// Whether the worker was lost that has a process that can be claimed. Who acquired the store, or was made stale by that, was not.
fn is_lost(workers: &Workers, row: &Row) -> bool {
    row.share.owner.is_some_and(|owner| workers.contains_key(&owner))
}

/// Whether there is something to do for whoever has a process.
fn can_go_on(row: &Row, now: Timestamp, asked: bool) -> bool {
    let record = &row.record;
    let waits = || {
        let awaiting = &record.awaiting;
        let later = awaiting.wake_at.is_some_and(|time| now < time);
        record.state == ProcessState::Waiting && (later || record.open_children > 0 || awaiting.resume.is_some())
    };
    row.is_unfinished() && (asked || !(record.paused || waits()))
}

impl MemoryStore {
    pub(super) async fn wait_for_work(&self, epoch: Epoch) -> StoreResult<()> {
        let mut told = false;
        loop {
            let (called, next) = {
                let mut kept = self.lock();
                let now = kept.now;
                let member = kept.member(epoch, "wait for work in")?;
                if told {
                    return Ok(());
                }
                let (since, called) = (member.told, Arc::clone(&member.called));
                let next = kept.next_event(since).unwrap_or(now);
                if next <= now {
                    kept.member(epoch, "wait for work in")?.told = now;
                    return Ok(());
                }
                (called, next)
            };
            tokio::select! {
                () = called.notified() => told = true,
                () = self.clock.until(next) => {}
            }
        }
    }
}
