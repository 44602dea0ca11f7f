//! Sentence 19.

use std::time::{Duration, Instant};

use super::super::{AT, Subject, boundary, ending, load, process, refused};
use super::{claim, create, join, lapse, lost, row, unowned, worker};
use crate::process::{ProcessId, ProcessState, Request};
use crate::store::{
    Commit, Epoch, HistoryEntry, NewProcess, OwedReply, Record, RequestRow, Snapshot, Store, StoreErrorKind,
};

fn reply(id: &str) -> OwedReply {
    OwedReply { id: id.to_owned(), address: "there".to_owned() }
}

#[derive(Debug, PartialEq)]
struct Kept {
    record: Record,
    history: Vec<HistoryEntry>,
    children: Vec<ProcessId>,
    memo: Option<String>,
    requests: Vec<RequestRow>,
    owed: Vec<(ProcessId, OwedReply)>,
    snapshots: Vec<Snapshot>,
    all: usize,
}

/// All that is kept of a process that [`refuse_all`] may find changed.
async fn kept(store: &dyn Store, pid: &ProcessId) -> Kept {
    Kept {
        record: load(store, pid).await,
        history: store.history(pid).await.unwrap(),
        children: store.children(pid).await.unwrap(),
        memo: store.memo(pid, 1, "effect").await.unwrap(),
        requests: store.requests(None).await.unwrap(),
        owed: store.owed(None, 100).await.unwrap(),
        snapshots: store.snapshots(None, 100).await.unwrap(),
        all: store.list(Vec::new(), None, 1_000).await.unwrap().records.len(),
    }
}

/// What [`refuse_all`] would change: a process with a copy and a debt, one that has ended, and a request.
async fn prepare(store: &dyn Store, epoch: Epoch) {
    create(store, epoch, [NewProcess { owes: Some(reply("task")), ..unowned("one") }, process("over")]).await;
    store.save_snapshot(epoch, &"one".into(), "tag", AT).await.unwrap();
    store.commit(ending(&"over".into(), epoch)).await.unwrap();
    store.request(&"over".into(), Request::Play).await.unwrap();
}

/// Every kind of write under a stale epoch is refused, and changes nothing.
async fn refuse_all(store: &dyn Store, stale: Epoch) {
    let pid: ProcessId = "one".into();
    let before = kept(store, &pid).await;
    let request = before.requests[0].id;
    let written = Commit {
        transition: Some("step"),
        children: vec![NewProcess {
            parent: Some(crate::store::Parent { pid: pid.clone(), awaited: true, follows: false }),
            ..process("child")
        }],
        applied: vec![request],
        ..boundary(&pid, stale, ProcessState::Waiting)
    };
    refused(store.commit(written).await, StoreErrorKind::Stale);
    refused(store.commit(ending(&pid, stale)).await, StoreErrorKind::Stale);
    refused(store.create(stale, process("new")).await, StoreErrorKind::Stale);
    refused(store.create(stale, NewProcess { owes: Some(reply("b")), ..process("one") }).await, StoreErrorKind::Stale);
    refused(store.create(stale, unowned("new")).await, StoreErrorKind::Stale);
    refused(store.park(stale, &pid, "why".to_owned()).await, StoreErrorKind::Stale);
    refused(store.put_memo(&pid, stale, 1, "effect", "1".to_owned()).await, StoreErrorKind::Stale);
    refused(store.discard_requests(stale, vec![request]).await, StoreErrorKind::Stale);
    refused(store.owe(stale, &pid, reply("c")).await, StoreErrorKind::Stale);
    refused(store.settle(stale, vec![(pid.clone(), "task".to_owned())]).await, StoreErrorKind::Stale);
    refused(store.save_snapshot(stale, &pid, "new", AT).await, StoreErrorKind::Stale);
    refused(store.delete_snapshot(stale, &pid, "tag").await, StoreErrorKind::Stale);
    refused(store.delete_snapshots(stale, &pid).await, StoreErrorKind::Stale);
    refused(store.restore(stale, &pid, "tag", AT).await, StoreErrorKind::Stale);
    refused(store.delete(stale, &"over".into()).await, StoreErrorKind::Stale);
    refused(store.renew(stale, 1).await, StoreErrorKind::Stale);
    refused(store.claim(stale, 1, crate::limits::ATTEMPTS).await, StoreErrorKind::Stale);
    refused(store.hand_over(stale, vec![pid.clone()]).await, StoreErrorKind::Stale);
    refused(store.work(stale).await, StoreErrorKind::Stale);
    assert_eq!(kept(store, &pid).await, before);
}

/// A worker that is heard from in time stays, however long.
pub async fn a_lease_that_is_renewed_does_not_lapse(subject: Subject) {
    const LEASE: Duration = Duration::from_millis(400);
    let store = subject.store();
    'again: loop {
        let epoch = store.join(worker(&[""]), LEASE).await.unwrap();
        let (joined, mut heard) = (Instant::now(), Instant::now());
        while joined.elapsed() < 3 * LEASE {
            tokio::time::sleep(LEASE / 20).await;
            let asked = Instant::now();
            let renewed = store.renew(epoch, 0).await;
            if renewed.is_err() && heard.elapsed() > LEASE / 2 {
                // The machine was too slow for this lease.
                continue 'again;
            }
            renewed.unwrap();
            heard = asked;
        }
        assert!(row(&*store, epoch).await.is_some());
        return;
    }
}

/// It is over for good, also where nobody else is there; the worker joins under another epoch.
pub async fn a_lapsed_lease_is_not_renewed(subject: Subject) {
    let store = subject.store();
    let (stale, _) = lost(&*store, 1).await;
    refused(store.renew(stale, 0).await, StoreErrorKind::Stale);
    assert!(row(&*store, stale).await.is_some_and(|row| !row.alive), "it is listed for some time");
    let epoch = join(&*store).await;
    assert!(epoch > stale);
    refused(store.renew(stale, 0).await, StoreErrorKind::Stale);
    store.renew(epoch, 0).await.unwrap();
}

/// Nothing at all, also where nobody has claimed what it owned.
pub async fn a_lapsed_worker_writes_nothing(mut subject: Subject) {
    let store = subject.another().await;
    let long = join(&*store).await;
    prepare(&*store, long).await;
    store.release(long).await.unwrap();
    let (stale, claimed) = lost(&*store, 10).await;
    assert_eq!(claimed.records.len(), 1);
    refuse_all(&*store, stale).await;
    let epoch = join(&*store).await;
    refuse_all(&*store, stale).await;
    assert_eq!(claim(&*store, epoch).await, ["one"]);
    store.commit(boundary(&"one".into(), epoch, ProcessState::Running)).await.unwrap();
}

/// Nor where another has, and has gone on with it.
pub async fn a_lapsed_worker_writes_nothing_of_what_another_has_claimed(mut subject: Subject) {
    let (store, other) = (subject.store(), subject.another().await);
    let epoch = join(&*other).await;
    prepare(&*other, epoch).await;
    let (stale, claimed) = lost(&*store, 10).await;
    assert_eq!(claimed.records.len(), 1);
    assert_eq!(claim(&*other, epoch).await, ["one"]);
    refuse_all(&*store, stale).await;
    other.commit(boundary(&"one".into(), epoch, ProcessState::Running)).await.unwrap();
    refuse_all(&*store, stale).await;
    // The release of one that was lost gives up nothing.
    store.release(stale).await.unwrap();
    assert_eq!(claim(&*other, epoch).await, [""; 0]);
    other.commit(ending(&"one".into(), epoch)).await.unwrap();
    lapse(&*store, stale).await;
}

/// Who has left is as stale as who was lost.
pub async fn a_worker_that_has_left_writes_nothing(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    prepare(&*second, other).await;
    assert_eq!(claim(&*first, one).await, ["one"]);
    first.release(one).await.unwrap();
    refuse_all(&*first, one).await;
    assert_eq!(claim(&*second, other).await, ["one"]);
    refuse_all(&*first, one).await;
    refuse_all(&*first, Epoch(0)).await;
    refuse_all(&*first, Epoch(other.0 + 1)).await;
}
