//! A store that fails on demand: what is not stored has not happened, and nothing is lost.

use procession::clock::Timestamp;
use procession::prelude::*;
use procession::process::{BoxFuture, Request, Termination};
use procession::store::{
    Bundle, Claimed, Commit, Committed, Creation, Ends, Epoch, Hint, HistoryEntry, Looks, Memo, MemoryStore, Mended,
    NewProcess, OwedReply, Page, Placement, Record, Renewed, ReportLine, RequestId, RequestRow, Search, Snapshot,
    StandingPage, Store, StoreError, StoreErrorKind, StoreResult, Summaries, Unsent, Worker, WorkerRow,
};
use procession::{Result, RunError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::children::Tree;
use super::resume::Path;
use super::support::{Gate, World};

/// A store whose writes can be made to fail as on a full disk: on demand, or from a commit on.
pub(crate) struct Faulty {
    inner: Arc<dyn Store>,
    pub(crate) full: AtomicBool,
    /// Whether questions for ends are never answered.
    pub(crate) silent: AtomicBool,
    /// How many commits still succeed.
    pub(crate) commits: AtomicU64,
    /// The call whose next answer is lost: it is done, and nobody is told.
    pub(crate) lost: Mutex<Option<Call>>,
    /// The process whose row is damaged: it cannot be read, nor gone on with.
    pub(crate) damaged: Mutex<Option<ProcessId>>,
    /// What was sent is not forgotten.
    pub(crate) forgets_nothing: AtomicBool,
    /// How often it is refused to forget it.
    pub(crate) refusals: AtomicU64,
    /// Where the answer to who joins has to pass.
    pub(crate) joining: Mutex<Option<Gate>>,
    /// The same of the next claim that gives something.
    pub(crate) claiming: Mutex<Option<Gate>>,
    /// How often it is refused to hand processes over.
    pub(crate) keeps: AtomicU64,
    /// The process that cannot be read now.
    pub(crate) busy: Mutex<Option<ProcessId>>,
    /// Whether requests cannot be read.
    pub(crate) asks_nothing: AtomicBool,
    /// How often still each process has changed since it was read last.
    pub(crate) restless: AtomicU64,
    /// Of how many processes each question for ends was.
    pub(crate) asked: Mutex<Vec<usize>>,
    /// The process whose end cannot be read, where ends are asked for together.
    pub(crate) unreadable: Mutex<Option<ProcessId>>,
    /// Whether it is refused for good to hand processes over.
    pub(crate) stale: AtomicBool,
    /// How often that was asked.
    pub(crate) handed: AtomicU64,
    /// How often hints were written.
    pub(crate) hinted: AtomicU64,
}

/// A call to a store that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Commit,
    Claim,
}

impl Faulty {
    fn new() -> Arc<Self> {
        Self::over(Arc::new(MemoryStore::new()), u64::MAX)
    }

    pub(crate) fn over(inner: Arc<dyn Store>, commits: u64) -> Arc<Self> {
        Arc::new(Self {
            inner,
            full: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            commits: AtomicU64::new(commits),
            lost: Mutex::default(),
            damaged: Mutex::default(),
            forgets_nothing: AtomicBool::new(false),
            refusals: AtomicU64::new(0),
            joining: Mutex::default(),
            claiming: Mutex::default(),
            keeps: AtomicU64::new(0),
            busy: Mutex::default(),
            asks_nothing: AtomicBool::new(false),
            restless: AtomicU64::new(0),
            asked: Mutex::default(),
            unreadable: Mutex::default(),
            stale: AtomicBool::new(false),
            handed: AtomicU64::new(0),
            hinted: AtomicU64::new(0),
        })
    }

    fn answered<'a, T: Send + 'a>(
        &'a self,
        call: Call,
        write: BoxFuture<'a, StoreResult<T>>,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move {
            let answer = self.write(write).await;
            match self.lost.lock().unwrap().take_if(|lost| *lost == call) {
                Some(_) => Err(StoreError::new(StoreErrorKind::Unreachable, "write to", "the test's store")),
                None => answer,
            }
        })
    }

    fn write<'a, T: Send + 'a>(&'a self, write: BoxFuture<'a, StoreResult<T>>) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move {
            if self.full.load(Ordering::SeqCst) {
                return Err(StoreError::new(StoreErrorKind::Full, "commit to", "the test's store"));
            }
            write.await
        })
    }
}

impl Store for Faulty {
    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }
    fn acquire(&self) -> BoxFuture<'_, StoreResult<Epoch>> {
        self.inner.acquire()
    }
    fn release(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.release(epoch)
    }
    fn create(&self, epoch: Epoch, process: NewProcess) -> BoxFuture<'_, StoreResult<Creation>> {
        self.answered(Call::Create, self.inner.create(epoch, process))
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<Committed>> {
        let left = self.commits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        self.full.fetch_or(left.is_err(), Ordering::SeqCst);
        self.answered(Call::Commit, self.inner.commit(commit))
    }
    fn park<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reason: String) -> BoxFuture<'a, StoreResult<()>> {
        self.write(self.inner.park(epoch, pid, reason))
    }
    fn look(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Looks>> {
        self.inner.look(processes)
    }
    fn hint(&self, epoch: Epoch, hints: Vec<Hint>) -> BoxFuture<'_, StoreResult<()>> {
        self.hinted.fetch_add(1, Ordering::SeqCst);
        self.write(self.inner.hint(epoch, hints))
    }
    fn load<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        if self.damaged.lock().unwrap().as_ref() == Some(pid) {
            return Box::pin(async move { Err(StoreError::new(StoreErrorKind::Corrupt, "read", pid)) });
        }
        if self.busy.lock().unwrap().as_ref() == Some(pid) {
            return Box::pin(async move { Err(StoreError::new(StoreErrorKind::Busy, "read", pid)) });
        }
        let left = self.restless.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let Ok(left) = left else { return self.inner.load(pid) };
        Box::pin(async move {
            let record = self.inner.load(pid).await?;
            Ok(record.map(|record| Record { steps: left, ..record }))
        })
    }
    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ProcessId>>> {
        self.inner.find(key)
    }
    fn termination<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Option<Termination>>> {
        if self.silent.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        self.inner.termination(pid)
    }
    fn ends(&self, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<Ends>> {
        self.asked.lock().unwrap().push(processes.len());
        let unreadable = self.unreadable.lock().unwrap().clone().filter(|pid| processes.contains(pid));
        Box::pin(async move {
            let mut ends = self.inner.ends(processes).await?;
            ends.ended.retain(|end| Some(&end.pid) != unreadable.as_ref());
            ends.unreadable.extend(unreadable.map(|pid| (pid, "it is damaged".to_owned())));
            Ok(ends)
        })
    }
    fn unfinished(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(async move {
            let mut page = self.inner.unfinished(after, most).await?;
            let damaged = self.damaged.lock().unwrap().clone();
            for record in page.records.iter_mut().filter(|record| Some(&record.pid) == damaged.as_ref()) {
                "[".clone_into(&mut record.context);
            }
            Ok(page)
        })
    }
    fn search(&self, search: Search) -> BoxFuture<'_, StoreResult<Summaries>> {
        self.inner.search(search)
    }
    fn children<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ProcessId>>> {
        self.inner.children(pid)
    }
    fn history<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<HistoryEntry>>> {
        self.inner.history(pid)
    }
    fn report<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<ReportLine>>> {
        self.inner.report(pid)
    }
    fn memo<'a>(&'a self, pid: &'a ProcessId, step: u64, name: &'a str) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.inner.memo(pid, step, name)
    }
    fn put_memo<'a>(
        &'a self,
        pid: &'a ProcessId,
        epoch: Epoch,
        step: u64,
        name: &'a str,
        value: String,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.write(self.inner.put_memo(pid, epoch, step, name, value))
    }
    fn request<'a>(&'a self, pid: &'a ProcessId, request: Request) -> BoxFuture<'a, StoreResult<RequestId>> {
        self.write(self.inner.request(pid, request))
    }
    fn requests(&self, after: Option<RequestId>) -> BoxFuture<'_, StoreResult<Vec<RequestRow>>> {
        if self.asks_nothing.load(Ordering::SeqCst) {
            let busy = StoreError::new(StoreErrorKind::Busy, "read requests in", "the test's store");
            return Box::pin(async move {
                // Steps begin meanwhile.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(busy)
            });
        }
        self.inner.requests(after)
    }
    fn discard_requests(&self, epoch: Epoch, requests: Vec<RequestId>) -> BoxFuture<'_, StoreResult<()>> {
        self.write(self.inner.discard_requests(epoch, requests))
    }
    fn join(&self, worker: Worker, lease: Duration) -> BoxFuture<'_, StoreResult<Epoch>> {
        let joined = self.write(self.inner.join(worker, lease));
        Box::pin(async move {
            let epoch = joined.await?;
            let gate = self.joining.lock().unwrap().clone();
            if let Some(gate) = gate {
                gate.pass().await;
            }
            Ok(epoch)
        })
    }
    fn renew(&self, epoch: Epoch, slots_used: u32) -> BoxFuture<'_, StoreResult<Renewed>> {
        self.write(self.inner.renew(epoch, slots_used))
    }
    fn memos<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Memo>>> {
        self.inner.memos(pid)
    }
    fn placement<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Placement>> {
        self.inner.placement(pid)
    }
    fn import(&self, epoch: Epoch, bundles: Vec<Bundle>) -> BoxFuture<'_, StoreResult<Creation>> {
        self.write(self.inner.import(epoch, bundles))
    }
    fn ask_to_drain(&self, worker: Epoch) -> BoxFuture<'_, StoreResult<bool>> {
        self.write(self.inner.ask_to_drain(worker))
    }
    fn claim(&self, epoch: Epoch, most: usize, attempts: u32) -> BoxFuture<'_, StoreResult<Claimed>> {
        let claim = self.answered(Call::Claim, self.inner.claim(epoch, most, attempts));
        Box::pin(async move {
            let claimed = claim.await?;
            let gate = self.claiming.lock().unwrap().take_if(|_| !claimed.records.is_empty());
            if let Some(gate) = gate {
                gate.pass().await;
            }
            Ok(claimed)
        })
    }
    fn hand_over(&self, epoch: Epoch, processes: Vec<ProcessId>) -> BoxFuture<'_, StoreResult<()>> {
        self.handed.fetch_add(1, Ordering::SeqCst);
        if self.stale.load(Ordering::SeqCst) {
            let stale = StoreError::new(StoreErrorKind::Stale, "hand over", "the test's processes");
            return Box::pin(async move { Err(stale) });
        }
        let kept = self.keeps.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if kept.is_ok() {
            let busy = StoreError::new(StoreErrorKind::Busy, "hand over", "the test's processes");
            return Box::pin(async move { Err(busy) });
        }
        self.write(self.inner.hand_over(epoch, processes))
    }
    fn fail<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        reason: String,
        attempts: u32,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(self.inner.fail(epoch, pid, reason, attempts))
    }
    fn unpark<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(self.inner.unpark(epoch, pid))
    }
    fn standing(&self, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<StandingPage>> {
        self.inner.standing(after, most)
    }
    fn work(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.work(epoch)
    }
    fn workers(&self) -> BoxFuture<'_, StoreResult<Vec<WorkerRow>>> {
        self.inner.workers()
    }
    fn owe<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId, reply: OwedReply) -> BoxFuture<'a, StoreResult<()>> {
        self.write(self.inner.owe(epoch, pid, reply))
    }
    fn owed(
        &self,
        after: Option<(ProcessId, String)>,
        most: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<(ProcessId, OwedReply)>>> {
        self.inner.owed(after, most)
    }
    fn settle(&self, epoch: Epoch, replies: Vec<(ProcessId, String)>) -> BoxFuture<'_, StoreResult<()>> {
        self.write(self.inner.settle(epoch, replies))
    }
    fn unsent(&self, epoch: Epoch, most: usize) -> BoxFuture<'_, StoreResult<Unsent>> {
        self.write(self.inner.unsent(epoch, most))
    }
    fn sent(&self, epoch: Epoch, messages: Vec<uuid::Uuid>) -> BoxFuture<'_, StoreResult<()>> {
        let refused = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() {
            let busy = StoreError::new(StoreErrorKind::Busy, "write to", "the test's store");
            return Box::pin(async move { Err(busy) });
        }
        let forgets_nothing = self.forgets_nothing.load(Ordering::SeqCst);
        self.write(self.inner.sent(epoch, if forgets_nothing { Vec::new() } else { messages }))
    }
    fn mend(&self, epoch: Epoch) -> BoxFuture<'_, StoreResult<Mended>> {
        self.write(self.inner.mend(epoch))
    }
    fn list(&self, states: Vec<ProcessState>, after: Option<u64>, most: usize) -> BoxFuture<'_, StoreResult<Page>> {
        self.inner.list(states, after, most)
    }
    fn save_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.write(self.inner.save_snapshot(epoch, pid, tag, at))
    }
    fn load_snapshot<'a>(&'a self, pid: &'a ProcessId, tag: &'a str) -> BoxFuture<'a, StoreResult<Option<Record>>> {
        self.inner.load_snapshot(pid, tag)
    }
    fn snapshots_of<'a>(&'a self, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>> {
        self.inner.snapshots_of(pid)
    }
    fn snapshots(&self, after: Option<(ProcessId, String)>, most: usize) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>> {
        self.inner.snapshots(after, most)
    }
    fn delete_snapshot<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(self.inner.delete_snapshot(epoch, pid, tag))
    }
    fn delete_snapshots<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<u64>> {
        self.write(self.inner.delete_snapshots(epoch, pid))
    }
    fn restore<'a>(
        &'a self,
        epoch: Epoch,
        pid: &'a ProcessId,
        tag: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Record>> {
        self.write(self.inner.restore(epoch, pid, tag, at))
    }
    fn delete<'a>(&'a self, epoch: Epoch, pid: &'a ProcessId) -> BoxFuture<'a, StoreResult<bool>> {
        self.write(self.inner.delete(epoch, pid))
    }
}

fn is_full(error: &RunError) -> bool {
    matches!(error, RunError::Store(error) if error.kind() == StoreErrorKind::Full)
}

#[tokio::test]
async fn a_step_that_cannot_be_stored_has_not_happened_and_runs_again() -> Result<()> {
    let (world, store) = (World::new(), Faulty::new());
    let runtime = world.builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).register::<Path>().build().await?;
    let run = runtime.launch(Path::inputs()).key("p").await?;
    world.gate.open(2);
    for _ in 0..3 {
        world.gate.reached().await;
    }
    store.full.store(true, Ordering::SeqCst);
    world.gate.open(1);
    let error = run.outcome().await.expect_err("the disk is full");
    assert!(is_full(&error), "{error}");
    let record = store.load(run.pid()).await?.expect("it is there");
    assert_eq!((record.steps, record.state), (2, ProcessState::Running));

    // With space again the same launch goes on, in the same runtime.
    store.full.store(false, Ordering::SeqCst);
    world.gate.open(20);
    let run = runtime.launch(Path::inputs()).key("p").await?;
    assert_eq!(run.outcome().await?.finished().expect("finished").visited.len(), 9);
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_suspended_does_not_fail_its_parent() -> Result<()> {
    let (world, store) = (World::new(), Faulty::new());
    let build = || world.builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).register::<Tree>().build();
    let runtime = build().await?;
    let run = runtime.launch(Tree::inputs().leaf(|leaf| leaf.gated(true))).await?;
    world.gate.reached().await;
    super::support::eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    store.full.store(true, Ordering::SeqCst);
    world.gate.open(1);
    assert!(is_full(&run.outcome().await.expect_err("suspended with its child")));
    assert_eq!(store.load(run.pid()).await?.expect("there").state, ProcessState::Waiting);
    store.full.store(false, Ordering::SeqCst);
    runtime.shutdown().await?;

    let runtime = build().await?;
    world.gate.open(1);
    let run = runtime.attach(run.pid()).await?;
    assert!(run.termination().await?.ended.is_successful());
    Ok(())
}

/// Has an effect whose memo may not be stored.
#[process(name = "it::Noter", needs(Gate))]
#[derive(Debug, Default)]
struct Noter {}

spec! { Noter { output noted: u32; } }

outline! { Noter { note => noted; } }

impl Noter {
    async fn note(&mut self, cx: &mut Cx<Self>) -> Result<u32, StepError> {
        cx.resource::<Gate>().pass().await;
        cx.once("note", async { Ok::<_, StepError>(7) }).await
    }
}

#[tokio::test]
async fn a_memo_that_cannot_be_stored_suspends_and_does_not_except() -> Result<()> {
    let (world, store) = (World::new(), Faulty::new());
    let runtime =
        world.builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).register::<Noter>().build().await?;
    let run = runtime.launch(Noter::inputs()).key("n").await?;
    world.gate.reached().await;
    store.full.store(true, Ordering::SeqCst);
    world.gate.open(1);
    assert!(is_full(&run.outcome().await.expect_err("suspended")));
    store.full.store(false, Ordering::SeqCst);
    world.gate.open(1);
    let run = runtime.launch(Noter::inputs()).key("n").await?;
    assert_eq!(run.outcome().await?.finished().expect("finished").noted, 7);
    Ok(())
}

#[tokio::test]
async fn a_launch_that_cannot_be_stored_is_refused() -> Result<()> {
    let (world, store) = (World::new(), Faulty::new());
    let runtime = world.builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).register::<Path>().build().await?;
    store.full.store(true, Ordering::SeqCst);
    assert!(is_full(&runtime.launch(Path::inputs()).key("p").await.expect_err("refused")));
    store.full.store(false, Ordering::SeqCst);
    assert!(runtime.find("p").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_snapshot_or_a_restore_that_cannot_be_stored_has_not_happened() -> Result<()> {
    let (world, store) = (World::new(), Faulty::new());
    let runtime = world.builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).register::<Path>().build().await?;
    let run = runtime.launch(Path::inputs()).await?;
    world.gate.reached().await;
    run.snapshot("enter").await?;
    world.gate.open(9);
    assert!(run.outcome().await?.is_finished());
    let before = store.load(run.pid()).await?;
    store.full.store(true, Ordering::SeqCst);
    for error in [
        run.snapshot("end").await.expect_err("full"),
        runtime.restore(run.pid(), "enter").await.expect_err("full"),
        runtime.delete(run.pid()).await.expect_err("full"),
    ] {
        assert!(is_full(&error), "{error}");
    }
    assert_eq!(store.load(run.pid()).await?, before);
    assert_eq!(run.snapshots().await?.len(), 1);
    store.full.store(false, Ordering::SeqCst);
    let run = runtime.restore(run.pid(), "enter").await?;
    world.gate.open(9);
    assert!(run.termination().await?.ended.is_successful());
    assert!(runtime.delete(run.pid()).await?);
    Ok(())
}

/// A process that changes while it is exported is read anew, so that its parts are of one boundary; but not for ever.
#[tokio::test]
async fn what_changes_while_it_is_exported_is_read_anew() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Path>().build().await?;
    let run = runtime.launch(Path::inputs()).await?;
    let pid = run.pid().clone();
    world.gate.open(100);
    run.termination().await?;
    runtime.shutdown().await?;
    let store = Faulty::over(Arc::clone(&world.store), u64::MAX);
    store.restless.store(3, Ordering::SeqCst);
    assert_eq!(store.export(&pid).await?, world.store.export(&pid).await?);
    store.restless.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(store.export(&pid).await.unwrap_err().kind(), StoreErrorKind::Busy);
    Ok(())
}
