//! The suite for stores that workers share: sentences 18 to 23, 25, 27 to 30, 32 and 33.
//!
//! Nothing moves the clock of a store, so leases that lapse are short, and what must happen under one is tried again if the
//! machine was too slow for it.

mod attempts;
mod claims;
mod drains;
mod failures;
mod hints;
mod messages;
mod owners;
mod stale;
mod standing;
mod work;

pub use self::attempts::*;
pub use self::claims::*;
pub use self::drains::*;
pub use self::failures::*;
pub use self::hints::*;
pub use self::messages::*;
pub use self::owners::*;
pub use self::stale::*;
pub use self::standing::*;
pub use self::work::*;

use std::sync::Arc;
use std::time::Duration;

use super::{Subject, boundary, process};
use crate::clock::Timestamp;
use crate::process::{ProcessId, ProcessState};
use crate::store::{
    Awaiting, Claimed, Commit, Creation, Epoch, NewProcess, Placement, Store, StoreErrorKind, Worker, WorkerRow,
};

/// A lease that does not lapse while a property runs.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// One that shall lapse.
const SHORT: Duration = Duration::from_millis(150);
/// What a store may take for what it shall do sooner or later.
const SOON: Duration = Duration::from_secs(30);

pub(super) fn worker(queues: &[&str]) -> Worker {
    Worker {
        host: "node.example".to_owned(),
        os_process: 7,
        version: "1.2.3".to_owned(),
        queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
        slots: 64,
    }
}

impl Subject {
    /// The same store, as another OS process opens it.
    async fn another(&mut self) -> Arc<dyn Store> {
        (self.open)().await
    }

    /// Two workers on the same store, each with its own handle.
    async fn two(&mut self) -> [(Arc<dyn Store>, Epoch); 2] {
        let (first, second) = (self.store(), self.another().await);
        let (one, other) = (join(&*first).await, join(&*second).await);
        [(first, one), (second, other)]
    }
}

/// Joins for longer than a property runs.
async fn join(store: &dyn Store) -> Epoch {
    store.join(worker(&[""]), LONG).await.unwrap()
}

/// A process that belongs to nobody yet.
fn unowned(pid: impl Into<ProcessId>) -> NewProcess {
    placed(pid, "", 0)
}

fn placed(pid: impl Into<ProcessId>, queue: &str, priority: i32) -> NewProcess {
    let placement = Placement { queue: queue.to_owned(), priority, unowned: true };
    NewProcess { placement, ..process(pid) }
}

fn waiting(pid: &ProcessId, epoch: Epoch, awaiting: Awaiting) -> Commit {
    Commit { awaiting: Some(awaiting), ..boundary(pid, epoch, ProcessState::Waiting) }
}

fn for_a_resume() -> Awaiting {
    Awaiting { resume: Some("a word".to_owned()), ..Awaiting::default() }
}

/// What is claimed, where all of it can be.
async fn claim(store: &dyn Store, epoch: Epoch) -> Vec<String> {
    let Claimed { records, parked, unreadable, .. } =
        store.claim(epoch, 10_000, crate::limits::ATTEMPTS).await.unwrap();
    assert_eq!((parked, unreadable), (Vec::new(), Vec::new()));
    records.iter().map(|record| record.pid.to_string()).collect()
}

async fn row(store: &dyn Store, epoch: Epoch) -> Option<WorkerRow> {
    store.workers().await.unwrap().into_iter().find(|row| row.epoch == epoch)
}

/// The store's time, as it tells a worker.
async fn now(store: &dyn Store, epoch: Epoch) -> Timestamp {
    store.renew(epoch, 0).await.unwrap();
    row(store, epoch).await.unwrap().heard_at
}

async fn lapse(store: &dyn Store, epoch: Epoch) {
    let lapsed = async {
        while row(store, epoch).await.is_some_and(|row| row.alive) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, lapsed).await.expect("the lease does not lapse");
}

/// A worker that has claimed what it could, and whose lease has lapsed then.
async fn lost(store: &dyn Store, most: usize) -> (Epoch, Claimed) {
    loop {
        let epoch = store.join(worker(&[""]), SHORT).await.unwrap();
        let claimed = match store.claim(epoch, most, crate::limits::ATTEMPTS).await {
            Err(error) if error.kind() == StoreErrorKind::Stale => continue,
            claimed => claimed.unwrap(),
        };
        lapse(store, epoch).await;
        return (epoch, claimed);
    }
}

async fn create(store: &dyn Store, epoch: Epoch, processes: impl IntoIterator<Item = NewProcess>) {
    for process in processes {
        let pid = process.pid.clone();
        assert_eq!(store.create(epoch, process).await.unwrap(), Creation::Created, "{pid}");
    }
}

/// Makes one test per property of stores that workers share, as [`conformance`](super::conformance) does for all.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_sharing_conformance {
    ($(#[$attribute:meta])* $name:ident, $factory:expr) => {
        $crate::__store_conformance! { [$(#[$attribute])*] $name, $factory;
            workers_write_beside_one_another
            workers_are_listed_with_what_they_said
            a_process_is_written_by_its_owner_alone
            a_process_that_has_ended_is_nobodys
            a_parked_process_is_its_who_takes_it_back
            who_restores_a_process_owns_it
            who_acquires_makes_all_workers_stale
            who_joins_makes_stale_who_had_acquired
            requests_to_what_another_has_are_not_discarded
            a_lease_that_is_renewed_does_not_lapse
            a_lapsed_lease_is_not_renewed
            a_lapsed_worker_writes_nothing
            a_lapsed_worker_writes_nothing_of_what_another_has_claimed
            a_worker_that_has_left_writes_nothing
            what_is_raced_for_is_claimed_once
            claims_go_by_priority_and_then_by_age
            claims_are_from_the_queues_that_were_named
            a_child_has_the_queue_and_the_priority_of_its_parent
            what_cannot_go_on_is_not_claimed
            a_wait_can_go_on_when_its_time_has_come
            a_wait_can_go_on_when_its_children_have_ended
            what_was_restored_to_a_wait_for_a_child_waits_for_it
            a_wait_is_for_children_that_are_created_alone_meanwhile
            a_request_lets_a_process_go_on
            each_claim_after_a_loss_is_an_attempt
            what_an_owner_of_the_store_had_is_claimed_without_an_attempt
            a_boundary_starts_the_attempts_anew
            what_is_handed_over_is_claimed_at_once
            what_is_released_is_claimed_at_once
            only_what_a_worker_has_is_handed_over
            work_ends_for_a_process_to_claim
            work_ends_for_what_comes_about_by_itself
            work_ends_for_a_request
            work_ends_for_the_end_of_a_child
            work_ends_once_the_worker_is_stale
            what_cannot_be_loaded_is_given_to_others_and_parked_in_the_end
            failures_and_losses_are_counted_together
            a_worker_has_one_suspect_at_a_time
            a_suspect_that_rests_does_not_count
            a_suspect_with_too_many_attempts_is_parked_alone
            what_was_unparked_can_be_claimed
            standings_tell_whose_a_process_is_and_what_it_waits_for
            what_a_worker_has_to_send_is_its_own
            what_a_worker_leaves_behind_is_given_to_one
            what_a_lapsed_worker_had_to_send_is_anothers
            who_has_a_reply_owed_last_sends_it
            who_acquires_sends_what_all_workers_had_to_send
            whose_a_process_is_is_seen
            a_hint_is_of_the_step_that_runs
            a_lost_worker_gives_no_hints
            a_worker_that_is_asked_to_drain_is_told
            an_imported_process_is_nobodys
        }
    };
}

#[cfg(test)]
mod tests {
    /// A property that is not in the list would never run.
    #[test]
    fn every_property_is_in_the_list() {
        let sources = [
            include_str!("attempts.rs"),
            include_str!("claims.rs"),
            include_str!("drains.rs"),
            include_str!("failures.rs"),
            include_str!("hints.rs"),
            include_str!("messages.rs"),
            include_str!("owners.rs"),
            include_str!("stale.rs"),
            include_str!("standing.rs"),
            include_str!("work.rs"),
        ];
        super::super::tests::all_listed(&sources, include_str!("mod.rs"));
    }
}
