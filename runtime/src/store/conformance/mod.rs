//! The conformance suite: a property for each sentence of the [contract](super), to be run on any store.
//!
//! ```text
//! mod my_store {
//!     use procession::store::conformance::{Subject, conformance};
//!
//!     async fn empty() -> Subject {
//!         let data = MyData::new();
//!         Subject::open(4, move || { let data = data.clone(); Box::pin(async move { MyStore::open(data) as _ }) }).await
//!     }
//!     conformance!(my_store, empty);
//! }
//! ```
//! makes one `#[test]` per property, with the attributes that stand before the name, like `#[ignore]`. A property takes an empty store and panics where it does not hold.
//!
//! `sharing_conformance!` does the same for what a store promises that several workers share; it opens such a store a second
//! time while the first is open.

// Properties panic, that is how they tell; the test harness shows where.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

mod boundary;
mod children;
mod creation;
mod look;
mod messages;
mod owed;
mod ownership;
mod removal;
mod rows;
mod search;
mod sharing;
mod snapshots;
mod transfer;
mod unfinished;
mod unshared;

pub use self::boundary::*;
pub use self::children::*;
pub use self::creation::*;
pub use self::look::*;
pub use self::messages::*;
pub use self::owed::*;
pub use self::ownership::*;
pub use self::removal::*;
pub use self::rows::*;
pub use self::search::*;
pub use self::sharing::*;
pub use self::snapshots::*;
pub use self::transfer::*;
pub use self::unfinished::*;
pub use self::unshared::*;
#[doc(inline)]
pub use crate::__store_conformance as conformance;
#[doc(inline)]
pub use crate::__store_sharing_conformance as sharing_conformance;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::{
    Commit, Committed, Creation, Envelope, Epoch, FORMAT, NewProcess, Parent, Record, Store, StoreErrorKind,
    StoreResult,
};
use crate::clock::Timestamp;
use crate::process::{BoxFuture, ProcessId, ProcessState, Progress};

/// How a store is opened.
pub type Open = Box<dyn FnMut() -> BoxFuture<'static, Arc<dyn Store>> + Send>;

/// A store under test.
pub struct Subject {
    open: Open,
    store: Option<Arc<dyn Store>>,
    retention: u64,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("retention", &self.retention).finish_non_exhaustive()
    }
}

impl Subject {
    /// A store without anything, that keeps so many transitions and lines of report of each process: at least 2, and
    /// few, since some properties write more.
    ///
    /// It is opened again, with its data, by some properties; what was open has been dropped then, but for those of a store
    /// that workers share.
    pub async fn open(
        retention: u64,
        mut open: impl FnMut() -> BoxFuture<'static, Arc<dyn Store>> + Send + 'static,
    ) -> Self {
        assert!(retention >= 2, "a retention of {retention} is too short for the suite");
        let store = open().await;
        Self { open: Box::new(open), store: Some(store), retention }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    /// The store and an epoch under which it can be written.
    async fn own(&self) -> (Arc<dyn Store>, Epoch) {
        let store = self.store();
        let epoch = store.acquire().await.unwrap();
        (store, epoch)
    }

    /// Drops the store as a crash would and opens it again.
    async fn reopen(&mut self, store: Arc<dyn Store>) -> (Arc<dyn Store>, Epoch) {
        self.store = None;
        assert_eq!(Arc::strong_count(&store), 1, "the property still uses the store");
        drop(store);
        self.store = Some((self.open)().await);
        self.own().await
    }
}

/// Runs a property on a new store.
pub fn check<S: Future<Output = Subject>, P: Future<Output = ()>>(
    factory: impl FnOnce() -> S,
    property: impl FnOnce(Subject) -> P,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { property(factory().await).await });
}

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

const PROGRESS: Progress =
    Progress { done: 3, total: Some(u64::MAX), at: Timestamp::from_millis(1_700_000_000_007), first: 1, since: AT };

fn process(pid: impl Into<ProcessId>) -> NewProcess {
    NewProcess {
        pid: pid.into(),
        key: None,
        parent: None,
        envelope: Envelope {
            format: FORMAT,
            process: "suite::Relax".to_owned(),
            version: 3,
            fingerprint: "f00d".to_owned(),
        },
        position: r#"{"at":"setup"}"#.to_owned(),
        context: r#"{"iteration":0}"#.to_owned(),
        inputs: r#"{"steps":10}"#.into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: crate::store::Placement::default(),
        messages: Vec::new(),
        at: AT,
    }
}

fn child(pid: impl Into<ProcessId>, parent: &ProcessId, awaited: bool) -> NewProcess {
    NewProcess { parent: Some(Parent { pid: parent.clone(), awaited, follows: !awaited }), ..process(pid) }
}

async fn launch(store: &dyn Store, epoch: Epoch, process: NewProcess) -> ProcessId {
    let pid = process.pid.clone();
    assert_eq!(store.create(epoch, process).await.unwrap(), Creation::Created, "{pid}");
    pid
}

fn boundary(pid: &ProcessId, epoch: Epoch, to: ProcessState) -> Commit {
    Commit::new(pid.clone(), epoch, AT, ProcessState::Running, to)
}

fn ending(pid: &ProcessId, epoch: Epoch) -> Commit {
    let ended = Some(r#"{"state":"finished"}"#.to_owned());
    Commit { ended, ..boundary(pid, epoch, ProcessState::Finished) }
}

async fn end(store: &dyn Store, epoch: Epoch, pid: &ProcessId) -> Committed {
    store.commit(ending(pid, epoch)).await.unwrap()
}

async fn load(store: &dyn Store, pid: &ProcessId) -> Record {
    store.load(pid).await.unwrap().unwrap_or_else(|| panic!("process `{pid}` is not there"))
}

#[track_caller]
fn refused<T: fmt::Debug>(result: StoreResult<T>, kind: StoreErrorKind) {
    assert_eq!(result.unwrap_err().kind(), kind);
}

/// Makes one test per property, in a module of this name, with what the factory, an `async fn() -> Subject`, gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_conformance {
    ($(#[$attribute:meta])* $name:ident, $factory:expr) => {
        $crate::__store_conformance! { [$(#[$attribute])*] $name, $factory;
            a_created_process_is_read_as_it_was_given
            a_process_may_begin_with_its_creation
            an_unknown_process_is_not_found
            a_known_id_gives_the_process_that_has_it
            a_known_key_gives_the_process_that_has_it
            concurrent_creations_of_one_key_make_one_process
            odd_ids_and_keys_are_kept
            a_child_of_an_unknown_parent_is_refused
            empty_and_large_texts_are_kept
            every_owner_has_a_later_epoch
            a_stale_creation_is_refused
            a_stale_commit_is_refused
            a_stale_memo_is_refused
            a_stale_parking_is_refused
            a_stale_discarding_is_refused
            after_a_release_only_requests_are_written
            a_stale_owner_does_not_release
            without_an_owner_only_requests_are_written
            a_commit_changes_all_that_it_names
            a_commit_leaves_what_it_does_not_name
            saved_listeners_are_kept_until_they_are_cleared
            a_covered_status_and_an_empty_wait_are_kept
            an_end_is_read_with_the_outputs
            ends_of_many_are_read_at_once
            an_ended_process_cannot_be_committed_again
            an_end_goes_with_a_terminal_state
            a_refused_commit_leaves_nothing
            a_refused_commit_does_not_harm_others_at_the_same_time
            commits_of_many_processes_at_once_are_all_kept
            children_of_a_commit_are_there_with_it
            the_last_awaited_child_that_ends_names_its_parent
            children_that_end_at_once_name_their_parent_once
            a_detached_child_names_nobody
            a_child_that_has_ended_is_not_open
            a_wait_that_is_over_forgets_its_children
            a_boundary_within_a_wait_leaves_its_children_open
            a_parent_that_ends_waits_for_nobody
            a_repeated_child_is_not_created_again
            a_repeated_child_leaves_its_key_to_another
            an_awaited_child_that_is_created_alone_is_open
            a_memo_is_found_under_process_step_and_name
            a_memo_that_is_stored_again_is_replaced
            a_boundary_forgets_the_memos_of_its_process
            requests_are_kept_in_order_until_they_are_applied
            a_request_is_found_after_looks_that_found_nothing
            requests_that_come_at_once_are_all_kept
            requests_to_unknown_processes_are_kept_until_discarded
            ids_of_requests_are_never_given_again
            a_parked_process_keeps_every_byte
            a_commit_takes_a_parked_process_back
            history_and_report_keep_the_latest_in_order
            every_unfinished_process_is_given_once_in_order
            an_empty_store_has_one_empty_page
            pages_are_right_while_rows_change
            a_snapshot_is_a_copy_that_nothing_changes
            a_snapshot_under_the_same_tag_is_replaced
            snapshots_are_listed_of_one_and_of_all
            deleting_what_is_not_there_is_no_error
            snapshots_are_bounded
            a_restored_process_is_as_it_was
            a_restore_takes_back_an_end_and_a_parking
            a_restored_process_waits_for_the_children_that_have_not_ended
            a_parent_is_not_told_of_a_second_end
            a_restored_process_is_not_asked_what_came_after_its_end
            an_end_that_a_parent_waits_with_is_not_taken_back
            what_cannot_be_restored_is_refused
            a_stale_snapshot_restore_or_deletion_is_refused
            a_deleted_process_leaves_nothing
            an_unfinished_process_is_not_deleted
            children_of_a_deleted_process_stay
            processes_are_listed_by_their_state
            a_reply_is_owed_until_it_is_settled
            a_reply_that_is_owed_again_goes_to_the_latest_address
            a_creation_brings_an_owed_reply
            a_known_process_owes_what_a_creation_brings
            only_a_process_of_its_own_owes
            an_owed_reply_outlives_all_but_a_deletion
            a_stale_owing_or_settling_is_refused
            owed_replies_are_bounded
            odd_owed_replies_are_kept
            messages_are_kept_with_what_they_belong_to
            messages_of_children_are_kept_with_their_boundary
            a_creation_that_finds_its_process_has_no_messages
            a_refused_boundary_has_no_messages
            the_same_message_again_is_kept_once
            messages_outlive_their_process
            messages_of_many_processes_at_once_are_all_kept
            messages_are_bounded
            odd_messages_are_kept
            what_another_owner_had_to_send_is_taken_over_once
            a_stale_sender_takes_over_and_forgets_nothing
            mending_what_is_right_changes_nothing
            a_store_with_one_owner_refuses_workers_and_placements
            an_unparked_process_is_unfinished
            standings_are_of_all_that_have_not_ended
            processes_are_found_by_what_they_are
            processes_are_found_by_what_they_have_become
            a_summary_tells_what_a_process_is
            odd_texts_are_found
            inputs_are_compared_by_their_values
            pages_of_a_search_are_right_while_rows_change
            processes_that_meet_a_filter_are_counted
            a_filter_beyond_the_limits_is_refused
            processes_are_looked_at_by_their_ids
            a_hint_is_seen_until_its_boundary_at_most
            a_process_is_taken_as_another_store_gave_it
            bundles_are_taken_together_or_not_at_all
            a_stale_import_is_refused
        }
    };
    ($attributes:tt $name:ident, $factory:expr; $($property:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $( $crate::__store_conformance! { @one $attributes $factory; $property } )*
        }
    };
    (@one [$($attribute:tt)*] $factory:expr; $property:ident) => {
        #[test]
        $($attribute)*
        fn $property() {
            $crate::store::conformance::check($factory, $crate::store::conformance::$property);
        }
    };
}

#[cfg(test)]
mod tests {
    /// A property that is not in the list would never run.
    #[test]
    fn every_property_is_in_the_list() {
        let sources = [
            include_str!("boundary.rs"),
            include_str!("children.rs"),
            include_str!("creation.rs"),
            include_str!("look.rs"),
            include_str!("messages.rs"),
            include_str!("owed.rs"),
            include_str!("ownership.rs"),
            include_str!("removal.rs"),
            include_str!("rows.rs"),
            include_str!("search.rs"),
            include_str!("snapshots.rs"),
            include_str!("transfer.rs"),
            include_str!("unfinished.rs"),
            include_str!("unshared.rs"),
        ];
        all_listed(&sources, include_str!("mod.rs"));
    }

    pub(super) fn all_listed(sources: &[&str], listed: &str) {
        let names = sources.iter().flat_map(|source| source.split("pub async fn ").skip(1));
        let names: Vec<_> = names.filter_map(|rest| rest.split('(').next()).collect();
        assert!(names.len() > 20, "{}", names.len());
        for name in names {
            assert!(listed.lines().any(|line| line.trim() == name), "`{name}` is not in the list");
        }
    }
}
