//! What is said of stores that workers do not share.

use super::sharing::{LONG, worker};
use super::{Subject, boundary, child, end, launch, load, process, refused};
use crate::process::{ProcessId, ProcessState};
use crate::store::{AwaitedChild, Awaiting, Commit, NewProcess, Placement, Standing, StoreErrorKind};

/// A store that has one owner takes no workers, and no placement, which it would lose.
pub async fn a_store_with_one_owner_refuses_workers_and_placements(subject: Subject) {
    let store = subject.store();
    if let Ok(epoch) = store.join(worker(&[""]), LONG).await {
        return store.release(epoch).await.unwrap();
    }
    let epoch = store.acquire().await.unwrap();
    refused(store.join(worker(&[""]), LONG).await, StoreErrorKind::Unsupported);
    refused(store.renew(epoch, 1).await, StoreErrorKind::Unsupported);
    refused(store.claim(epoch, 1, crate::limits::ATTEMPTS).await, StoreErrorKind::Unsupported);
    refused(store.hand_over(epoch, Vec::new()).await, StoreErrorKind::Unsupported);
    refused(store.work(epoch).await, StoreErrorKind::Unsupported);
    refused(store.workers().await, StoreErrorKind::Unsupported);
    refused(store.ask_to_drain(epoch).await, StoreErrorKind::Unsupported);
    refused(store.fail(epoch, &"any".into(), String::new(), 1).await, StoreErrorKind::Unsupported);
    let parent = launch(&*store, epoch, process("parent")).await;
    let before = load(&*store, &parent).await;
    for placement in [
        Placement { queue: "gpu".to_owned(), ..Placement::default() },
        Placement { priority: 1, ..Placement::default() },
        Placement { unowned: true, ..Placement::default() },
    ] {
        let placed = NewProcess { placement, ..process("placed") };
        refused(store.create(epoch, placed.clone()).await, StoreErrorKind::Unsupported);
        let commit = Commit { children: vec![placed], ..boundary(&parent, epoch, ProcessState::Running) };
        refused(store.commit(commit).await, StoreErrorKind::Unsupported);
        assert_eq!(store.load(&"placed".into()).await.unwrap(), None);
    }
    assert_eq!(load(&*store, &parent).await, before);
}

/// It has every byte, and is found among the unfinished by its owner.
pub async fn an_unparked_process_is_unfinished(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let before = load(&*store, &pid).await;
    assert!(!store.unpark(epoch, &pid).await.unwrap());
    store.park(epoch, &pid, "why".to_owned()).await.unwrap();
    assert_eq!(store.unfinished(None, 10).await.unwrap().records, []);
    let next = store.acquire().await.unwrap();
    refused(store.unpark(epoch, &pid).await, StoreErrorKind::Stale);
    for unparked in [true, false] {
        assert_eq!(store.unpark(next, &pid).await.unwrap(), unparked);
        assert_eq!(store.unfinished(None, 10).await.unwrap().records, std::slice::from_ref(&before));
    }
    refused(store.unpark(next, &"unknown".into()).await, StoreErrorKind::NotFound);
}

/// Nobody is their owner; in pages, the parked ones too.
pub async fn standings_are_of_all_that_have_not_ended(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let pids = ["a", "b", "c"].map(ProcessId::from);
    let awaited = pids.clone().map(|pid| AwaitedChild { pid, allow_failure: false }).to_vec();
    let children = pids.each_ref().map(|pid| child(pid.clone(), &parent, true)).to_vec();
    let awaiting = Some(Awaiting { children: awaited, ..Awaiting::default() });
    store.commit(Commit { awaiting, children, ..boundary(&parent, epoch, ProcessState::Waiting) }).await.unwrap();
    end(&*store, epoch, &pids[0]).await;
    store.park(epoch, &pids[1], "why".to_owned()).await.unwrap();
    let mut store = store;
    for _ in 0..2 {
        let (mut told, mut after) = (Vec::new(), None);
        loop {
            let page = store.standing(after, 2).await.unwrap();
            told.extend(page.standings);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let short = |standing: &Standing| {
            (standing.pid.to_string(), standing.parked.clone(), standing.open_children, standing.vain_children)
        };
        let expected = [("parent", None, 2, 1), ("b", Some("why"), 0, 0), ("c", None, 0, 0)];
        let expected = expected.map(|(pid, why, open, vain)| (pid.to_owned(), why.map(str::to_owned), open, vain));
        assert_eq!(told.iter().map(short).collect::<Vec<_>>(), expected);
        assert!(told.iter().all(|standing| standing.owner.is_none() && standing.queue.is_empty()));
        assert_eq!(told[0].state, ProcessState::Waiting);
        store = subject.reopen(store).await.0;
    }
}
