//! Where processes survive: the [`Store`] trait and its contract.
//!
//! # Contract
//! Every store keeps these sentences; the conformance suite has a test for each.
//!
//! 1. A call that returned `Ok` is durable as the store promises it; one that returned an error changed nothing,
//!    unless the error is that the server cannot be reached ([`Unreachable`](StoreErrorKind::Unreachable)): then nobody
//!    knows, until it is read.
//! 2. A commit is atomic: all of it is seen, or nothing.
//! 3. A commit, a creation, a memo, a parking, an owed reply and its settling under an epoch that is not the latest is
//!    refused as [`Stale`](StoreErrorKind::Stale), and changes nothing.
//! 4. [`acquire`](Store::acquire) gives an epoch later than all before, and makes those stale.
//! 5. Creation is idempotent: a key, or an id, that is known gives the process that has it.
//! 6. The commit that ends a process removes it from its parent's open children, and tells if it was the last one.
//!    Open are those of the awaited children, from the parent's [`Awaiting`] and of the children that it created as
//!    awaited since, that have not ended.
//! 7. A process that has ended cannot be committed again: [`Ended`](StoreErrorKind::Ended). How it ended is given alone, and by
//!    [`ends`](Store::ends), each once, of any number of processes; one that cannot be read keeps none of the others back.
//! 8. A memo is found under its process, step and name until a boundary forgets the memos of its process.
//! 9. Requests are kept in the order of their arrival until a commit has applied them.
//! 10. A parked process keeps every byte and is not found among the unfinished, until a commit takes it back.
//! 11. History and report are kept in order, the latest ones where there are more than the store's retention.
//! 12. [`unfinished`](Store::unfinished) gives every process that is not terminal and not parked, once, in the order
//!     of creation, in pages; [`list`](Store::list) gives every one that is in one of some states.
//! 13. A snapshot is a copy of a process as of its last boundary, under the process's id and a tag: no later change of
//!     the process changes it, saving again replaces it, and deleting one that is not there is no error. Number and
//!     tags are bounded by [`limits`](crate::limits).
//! 14. [`restore`](Store::restore) brings a process back to a snapshot, in one transaction: all that a boundary writes
//!     is as it was, its steps go on counting, its memos are forgotten, and its history has one row more. Children stay
//!     as they are; those that the snapshot waits for and that have not ended are open. A parent is not told again.
//!     Of a process that had ended, the requests to it are removed, which were meant for its earlier life; and while its
//!     parent has not ended and still waits with it, it is [`Unfinished`](StoreErrorKind::Unfinished): its end is yet to
//!     be looked at.
//! 15. [`delete`](Store::delete) removes a process that has ended, with its snapshots, memos, history, report, the
//!     requests to it and the replies that it owes, and frees its id and its key. Its children stay, without a parent.
//!     One whose parent has not ended is [`Unfinished`](StoreErrorKind::Unfinished) still.
//! 16. A reply that a process [owes](Store::owe) is kept until it is settled or the process deleted, whatever else
//!     becomes of the process; one that has ended may owe, too. It is known by the process and its id: the same again is
//!     the same reply, to the latest address. Settling one that is not there is no error. Number and size are bounded by
//!     [`limits`](crate::limits).
//! 17. A creation that brings an owed reply stores it in the same transaction. Where the key or the id is known, the
//!     process that has it owes the reply, of whatever type it is: whoever wanted another one settles it.
//!
//! A store that several workers [share](Store::join) keeps these, too; others refuse them, and a process that is
//! [placed](Placement), as [`Unsupported`](StoreErrorKind::Unsupported).
//!
//! 18. Workers that have [joined](Store::join) write beside one another, each under an epoch of its own, later than all
//!     before. A process that has not ended has one owner at most: who created, [claimed](Store::claim) or restored it. Its
//!     commits, memos and parking are refused as stale under any other epoch, and its restoring while another worker owns
//!     it whose lease has not lapsed; all else that sentence 3 names any such worker may write. One that is parked is
//!     nobody's, and its worker's whose commit takes it back. Who [acquires](Store::acquire) the store makes all workers
//!     stale and owns every process; who joins makes stale who had acquired it.
//! 19. A worker's lease lapses when it is not [renewed](Store::renew) in time, by the clock of the store. From then on all
//!     that it writes is stale, for good, also where nobody has claimed what it owned. It joins anew, under another epoch.
//! 20. A claim gives processes that can go on, and that no worker owns whose lease has not lapsed; each to one worker, from the
//!     queues that it named, those of greater priority first and then the older ones; where more than
//!     [`limits::WOKEN`](crate::limits::WOKEN) waits end at once, those whose time came first may be before others. Those can
//!     go on that are neither terminal nor parked, and for which a request is filed, or which are not paused, and are created,
//!     running, or wait for no time that is yet to come, no child that has not ended and no resume. Times are those of the
//!     store's clock.
//! 21. Each claim of a process after its worker was lost counts as an attempt, and each boundary starts anew. One with
//!     more than [`limits::ATTEMPTS`](crate::limits::ATTEMPTS) is parked instead of given.
//! 22. What is [handed over](Store::hand_over), or released, can be claimed by others at once; it is no attempt.
//! 23. The commit that ends the last open child of a process that waits for its children lets others claim the process, if
//!     nobody owns it. [`work`](Store::work) ends, sooner or later, when something may have come about for a worker: a process
//!     to claim, a request to one of its own, the end of a child of one of its own; at once, where that was since it ended
//!     last. It may end for no reason. Once the worker is stale, it ends with that.
//!
//! What is sent to those elsewhere, in every store:
//!
//! 24. The [messages](Message) of a creation or a commit are stored with it, or not at all, and kept until they are known to be
//!     [sent](Store::sent), whatever else becomes of the process. A creation that finds its process has none. Their ids are
//!     their own: the same id again is the same message.
//! 25. [`unsent`](Store::unsent) gives messages, in the order in which they were written, and owed replies, whose sender writes no
//!     more: it was lost, left, or another has acquired the store. From then on they are the sender's who asked, and given to no
//!     other while it may write. The sender of a message is the epoch that wrote it, and of an owed reply the one that had it
//!     owed last.
//! 26. [`mend`](Store::mend) puts right what no sequence of calls leaves behind, and says how much there was: a parent that waits
//!     for a child which has ended, or is not there, waits for it no more.
//!
//! And where something goes wrong, in a store that workers share:
//!
//! 27. A process that a worker [cannot load](Store::fail) is given to others; it counts as an attempt, and the last one parks the
//!     process with the worker's reason.
//! 28. A process that has been lost with its worker [`limits::SUSPECT`](crate::limits::SUSPECT) times since its last boundary is a
//!     suspect: no worker has two of them at work, whose next boundary is yet to come. A claim gives one at most, and none while its worker
//!     has one that can go on. So a process that kills its workers parks no other.
//! 29. What was parked can be claimed after it was [unparked](Store::unpark), and starts anew with its attempts. One that is not
//!     parked is left as it is.
//! 30. [`standing`](Store::standing) gives every process that has not ended, the parked ones too, in the order of creation, in
//!     pages, with whose it is and what it waits for.
//!
//! And for whoever asks which processes there are:
//!
//! 31. [`search`](Store::search) gives what is told of the processes that meet a [`Filter`], each once, in the order of creation or
//!     against it, in pages; one that meets it from the first page to the last is given, whatever else is created, changed or
//!     deleted meanwhile, and one that cannot be read keeps none of the others back. A call looks at
//!     [`limits::SEARCHED`](crate::limits::SEARCHED) processes at most, so a page that is not full may have a next one.
//! 32. [`look`](Store::look) gives processes by their ids as of their last boundaries, without what they have in them, each with
//!     whose it is, where workers share the store; one that is not there is left out, and one that cannot be read keeps none of the others back. It gives a
//!     [hint](Store::hint) only while it is of the step that runs, in the worker that has the process and whose lease has not
//!     lapsed. A hint may be lost at any time, and is no part of what other sentences say.
//!
//! And for whoever moves processes from one store to another, in every store:
//!
//! 33. What [`export`](Store::export) gives of a process, another store [takes](Store::import) as it is, and gives again, but for
//!     what of its history and its report is beyond what it keeps. Bundles are taken together, or none of them: none is, if
//!     the id or the key of one is known, if a parent, or a child that is waited for, is neither there nor among them, or if
//!     one is not as a store would give it. How many children of a process are open is counted anew.

mod bundle;
#[cfg(feature = "conformance")]
pub mod conformance;
mod ends;
mod error;
mod file;
mod locking;
mod look;
mod memory;
mod message;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod rules;
mod search;
mod sharing;
mod snapshot;
#[cfg(feature = "sqlite")]
mod sqlite;
mod standing;

pub use bundle::{Bundle, Memo, SavedSnapshot};
pub use ends::{End, Ends};
pub use error::{StoreError, StoreErrorKind};
pub use file::{FileOptions, FileStore};
pub use look::{Hint, Look, Looks};
pub use memory::MemoryStore;
pub use message::{Mended, Message, Unsent};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
pub use record::{
    AwaitedChild, Awaiting, Commit, Committed, Creation, Envelope, Epoch, FORMAT, HistoryEntry, NewProcess, OwedReply,
    Page, Parent, Record, ReportLine, RequestId, RequestRow, StatusText,
};
pub use search::{
    Caret, Comparison, Condition, Filter, FilterError, FilterFault, Scalar, Search, Summaries, Summary, TextIs,
};
pub use sharing::{Claimed, Placement, Renewed, Worker, WorkerRow};
pub use snapshot::Snapshot;
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, SqliteOptions, SqliteStore};
pub use standing::{Standing, StandingPage};

use std::sync::Arc;
use std::time::Duration;

use procession_transport::Transport;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::process::{BoxFuture, ProcessId, ProcessState, Request, Termination};

/// The result of a call to a store.
pub type StoreResult<T> = Result<T, StoreError>;

fn unsupported<'a, T: Send + 'a>(operation: &'static str) -> BoxFuture<'a, StoreResult<T>> {
    Box::pin(async move { Err(StoreError::new(StoreErrorKind::Unsupported, operation, "a store that has one owner")) })
}

/// Keeps processes. See the [module](self) for the contract.
pub trait Store: Send + Sync + 'static {
    /// Whether what is stored outlives the OS process.
    fn is_durable(&self) -> bool {
        true
    }

    /// What carries the streams of the processes that are stored here, as safely as these are, to all who share them; a runtime that
    /// was given nothing else takes it. `None` where the store has nothing of the kind.
    ///
    /// # Errors
    /// There is something, and it cannot be opened.
    fn channels(&self) -> StoreResult<Option<Arc<dyn Transport>>> {
        Ok(None)
    }

    /// Takes ownership: the epoch under which this runtime writes, later than all before.
    fn acquire(&self) -> BoxFuture<'_, StoreResult<Epoch>>;

    /// Gives up ownership and frees what is held; later writes are refused. Nothing happens under an epoch that is not
    /// the latest: another owns the store by now.
    fn release(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>>;

    /// Adds a process, unless its key or its id is known.
    fn create(&self, epoch: Epoch, process: NewProcess) -> BoxFuture<'_, StoreResult<Creation>>;

    /// Writes one step boundary.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>>;

    /// Puts a process aside with a reason; nothing of it is changed.
    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>>;

    /// The process with this id.
    fn load<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Record>>>;

    /// The id of the process with this key.
    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ProcessId>>>;

    /// How a process ended; none if it has not.
    fn termination<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Termination>>>;

    /// How those of some processes have ended that have. Whoever asks names each once; a runtime names
    /// [so many](crate::limits::ENDS) at a time, so that the answer stays small.
    fn ends(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Ends>>;

    /// Processes that are neither terminal nor parked, in the order of creation, after a page's end.
    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>>;

    /// Processes in one of these states, or in any if none is named, in the order of creation, after a page's end.
    fn list(&self, states: Vec<ProcessState>, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>>;

    /// Processes that meet a filter, one page of them. A filter beyond [`limits`](crate::limits) is refused as
    /// [`Limit`](StoreErrorKind::Limit).
    fn search(&self, search: Search) -> BoxFuture<'_, StoreResult<Summaries>>;

    /// How many processes meet a filter; counts so many at most. It asks for one page after the other, so where few of many
    /// meet it, it takes as long as all of them do.
    fn count(&self, filter: Filter, most: u64) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move {
            let (mut counted, mut after) = (0_u64, None);
            loop {
                let left = usize::try_from(most.saturating_sub(counted)).unwrap_or(usize::MAX);
                if left == 0 {
                    return Ok(counted);
                }
                let search = Search { after, oldest_first: true, ..Search::new(filter.clone(), left) };
                let page = self.search(search).await?;
                counted += page.processes.len() as u64;
                match page.next {
                    Some(next) => after = Some(next),
                    None => return Ok(counted),
                }
            }
        })
    }

    /// These processes, without what they have in them, for whoever watches them. Whoever asks names each once, and
    /// [so many](crate::limits::LOOKED_AT) at a time. Without what a store knows of workers and hints, unless it says more.
    fn look(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Looks>> {
        Box::pin(look::each(self, processes))
    }

    /// Keeps how far the steps of a worker say that they are, in place of all that it told before, for whoever
    /// [looks](Self::look). It need not survive anything; a store that keeps none does nothing.
    fn hint(&self, epoch: Epoch, hints: Vec<Hint>) -> BoxFuture<'_, StoreResult<()>> {
        let _ = (epoch, hints);
        Box::pin(async { Ok(()) })
    }

    /// The children that a process launched, in order.
    fn children<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ProcessId>>>;

    /// The transitions of a process, oldest first.
    fn history<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<HistoryEntry>>>;

    /// The report of a process, oldest line first.
    fn report<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ReportLine>>>;

    /// The memo of an effect within a step.
    fn memo<'a>(&'a self, pid: &'a ProcessId, step: u64, name: &'a str) -> BoxFuture<'a, StoreResult<Option<String>>>;

    /// Stores the memo of an effect within a step. The one thing that is stored between boundaries.
    fn put_memo<'a>(
        &'a self,
        pid: &'a ProcessId,
        epoch: Epoch,
        step: u64,
        name: &'a str,
        value: String,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// Appends a request; anyone may, also without ownership. It is durable when this returns.
    fn request<'a>(&'a self, pid: &'a ProcessId, request: Request) -> BoxFuture<'a, StoreResult<RequestId>>;

    /// Requests that no commit has applied yet, after one that is known, in order.
    fn requests(&self, after: Option<RequestId>) -> BoxFuture<'_, StoreResult<Vec<RequestRow>>>;

    /// Removes requests to processes that have ended or do not exist, which nobody will apply, or that their owner has dealt with. One to
    /// a process that has not ended and is not the worker's is left as it is.
    fn discard_requests(&self, epoch: Epoch, requests: Vec<RequestId>) -> BoxFuture<'_, StoreResult<()>>;

    /// Keeps that a process owes a reply at its end, to someone who waits elsewhere. It is durable when this returns.
    fn owe<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reply: OwedReply) -> BoxFuture<'a, StoreResult<()>>;

    /// Replies that are owed, in the order of the processes' ids, as texts, and their own; those after one that need not be
    /// there any more.
    fn owed(
        &self,
        after: Option<(ProcessId, String)>,
        most: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<(ProcessId, OwedReply)>>>;

    /// Forgets replies, by process and id, that were sent or that nobody waits for any more.
    fn settle(&self, epoch: Epoch, replies: Vec<(ProcessId, String)>) -> BoxFuture<'_, StoreResult<()>>;

    /// Takes over messages and replies that nobody sends, at most this many of each.
    fn unsent(&self, epoch: Epoch, most: usize) -> BoxFuture<'_, StoreResult<Unsent>>;

    /// Forgets messages that were sent. One that is not there is no error.
    fn sent(&self, epoch: Epoch, messages: Vec<Uuid>) -> BoxFuture<'_, StoreResult<()>>;

    /// Puts right what should not be.
    fn mend(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<Mended>>;

    /// The memos of a process, in the order of their steps and names.
    fn memos<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Memo>>>;

    /// Where a process belongs: the default in a store that has one owner, and of one that is not there.
    fn placement<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Placement>>;

    /// A process whole, as of one boundary; none if it is not there. One that changes faster than it can be read is refused
    /// as [busy](StoreErrorKind::Busy).
    fn export<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Bundle>>> {
        Box::pin(bundle::export(self, pid))
    }

    /// Adds processes whole, all of them or none: nothing is written if the id or the key of one is known. A parent comes before
    /// its children, or is there; and so are, or come, the children that a process waits for. What has not ended is nobody's,
    /// and goes on with whoever takes it.
    fn import(&self, epoch: Epoch, bundles: Vec<Bundle>) -> BoxFuture<'_, StoreResult<Creation>>;

    /// Copies a process, as of its last boundary, under a tag; a copy under the same tag is replaced.
    fn save_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// A process as it was when the snapshot was taken.
    fn load_snapshot<'a>(&'a self, pid: &'a ProcessId, tag: &'a str) -> BoxFuture<'a, StoreResult<Option<Record>>>;

    /// The snapshots of a process, in the order of their tags.
    fn snapshots_of<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>>;

    /// Snapshots of all processes, in the order of their ids, as texts, and tags; those after one that need not be
    /// there any more.
    fn snapshots(&self, after: Option<(ProcessId, String)>, most: usize) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>>;

    /// Removes a snapshot; whether there was one.
    fn delete_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// Removes the snapshots of a process; how many there were.
    fn delete_snapshots<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<u64>>;

    /// Brings a process back to a snapshot that had not ended; gives it as it is then. Whoever calls it sees to it that
    /// the process does not run.
    fn restore<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Record>>;

    /// Joins the workers on this store: gives the epoch under which this one writes until its lease lapses, which is this
    /// long after each renewal, by the clock of the store.
    fn join(&self, worker: Worker, lease: Duration) -> BoxFuture<'_, StoreResult<Epoch>> {
        let _ = (worker, lease);
        unsupported("join the workers on")
    }

    /// Renews the lease of a worker, and says how many of its slots it uses. Refused as stale if it has lapsed.
    fn renew(&self, epoch: Epoch, slots_used: u32) -> BoxFuture<'_, StoreResult<Renewed>> {
        let _ = (epoch, slots_used);
        unsupported("renew a lease in")
    }

    /// Asks the worker of this epoch to drain: from then on each renewal tells it. Anyone may, also without ownership. Whether
    /// there is such a worker whose lease has not lapsed; one that joins anew is another.
    fn ask_to_drain(&self, worker: Epoch) -> BoxFuture<'_, StoreResult<bool>> {
        let _ = worker;
        unsupported("ask a worker to drain in")
    }

    /// Takes processes that can go on and that nobody has; those that it parks instead, because they had more than so many
    /// attempts, count, too.
    fn claim(&self, epoch: Epoch, most: usize, attempts: u32) -> BoxFuture<'_, StoreResult<Claimed>> {
        let _ = (epoch, most, attempts);
        unsupported("claim processes in")
    }

    /// Gives processes up that this worker owns; those of others are left as they are.
    fn hand_over(&self, epoch: Epoch, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<()>> {
        let _ = (epoch, processes);
        unsupported("hand processes over in")
    }

    /// Gives a process up that this worker cannot load; whether it was parked, because it had as many attempts as this.
    fn fail<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        reason: String,
        attempts: u32,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let _ = (epoch, pid, reason, attempts);
        unsupported("give a process up in")
    }

    /// Lets a parked process be claimed again; whether it was parked. In a store that has one owner, the next owner finds it
    /// among the unfinished.
    fn unpark<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>>;

    /// How the processes stand that have not ended, after a page's end. In a store that has one owner, nobody is their
    /// owner.
    fn standing(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<StandingPage>>;

    /// Ends when something may have come about for a worker.
    fn work(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        let _ = epoch;
        unsupported("wait for work in")
    }

    /// The workers that have joined, and have not released the store or been forgotten some time after they lapsed.
    fn workers(&self) -> BoxFuture<'_, StoreResult<Vec<WorkerRow>>> {
        unsupported("list the workers on")
    }

    /// Removes a process that has ended, with all that is kept of it; whether there was one.
    fn delete<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>>;
}
