//! Where processes survive: the [`Store`] trait and its contract.
//!
//! # Contract
//! Every store keeps these sentences; the conformance suite has a test for each.
//!
//! 1. A call that returned `Ok` is durable as the store promises it; one that returned an error changed nothing.
//! 2. A commit is atomic: all of it is seen, or nothing.
//! 3. A commit, a creation, a memo and a parking under an epoch that is not the latest is refused as
//!    [`Stale`](StoreErrorKind::Stale), and changes nothing.
//! 4. [`acquire`](Store::acquire) gives an epoch later than all before, and makes those stale.
//! 5. Creation is idempotent: a key, or an id, that is known gives the process that has it.
//! 6. The commit that ends a process removes it from its parent's open children, and tells if it was the last one.
//!    Open are those of the awaited children, from the parent's [`Awaiting`] and of the children that it created as
//!    awaited since, that have not ended.
//! 7. A process that has ended cannot be committed again: [`Ended`](StoreErrorKind::Ended).
//! 8. A memo is found under its process, step and name until a boundary forgets the memos of its process.
//! 9. Requests are kept in the order of their arrival until a commit has applied them.
//! 10. A parked process keeps every byte and is not found among the unfinished, until a commit takes it back.
//! 11. History and report are kept in order, the latest ones where there are more than the store's retention.
//! 12. [`unfinished`](Store::unfinished) gives every process that is not terminal and not parked, once, in the order
//!     of creation, in pages.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod memory;
mod record;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use record::{
    AwaitedChild, Awaiting, Commit, Committed, Creation, Envelope, Epoch, FORMAT, HistoryEntry, NewProcess, Page,
    Parent, Record, ReportLine, RequestId, RequestRow, StatusText,
};
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, SqliteOptions, SqliteStore};

use crate::process::{BoxFuture, ProcessId, Request, Termination};

/// The result of a call to a store.
pub type StoreResult<T> = Result<T, StoreError>;

/// Keeps processes. See the [module](self) for the contract.
pub trait Store: Send + Sync + 'static {
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

    /// Processes that are neither terminal nor parked, in the order of creation, after a page's end.
    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>>;

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

    /// Removes requests to processes that have ended or do not exist, which nobody will apply.
    fn discard_requests(&self, epoch: Epoch, requests: Vec<RequestId>) -> BoxFuture<'_, StoreResult<()>>;
}
