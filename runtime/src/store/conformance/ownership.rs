//! Sentences 3 and 4.

use super::{Subject, boundary, launch, load, process, refused};
use crate::process::{ProcessState, Request};
use crate::store::{Creation, Epoch, StoreErrorKind};

/// Every owner has a later epoch than all before, also after opening again.
pub async fn every_owner_has_a_later_epoch(mut subject: Subject) {
    let (mut store, mut last) = subject.own().await;
    for round in 0..4 {
        let next = if round % 2 == 0 {
            store.release(last).await.unwrap();
            store.acquire().await.unwrap()
        } else {
            let (again, epoch) = subject.reopen(store).await;
            store = again;
            epoch
        };
        assert!(next > last, "{next:?} after {last:?}");
        last = next;
    }
    let twice = store.acquire().await.unwrap();
    assert!(twice > last, "also without a release");
}

/// Epochs that are not the latest: of an earlier owner, of none, of one to come.
fn others(epoch: Epoch) -> [Epoch; 3] {
    [Epoch(epoch.0 - 1), Epoch(0), Epoch(epoch.0 + 1)]
}

/// A creation under another epoch is refused and changes nothing.
pub async fn a_stale_creation_is_refused(mut subject: Subject) {
    let (store, _) = subject.own().await;
    let (store, epoch) = subject.reopen(store).await;
    for other in others(epoch) {
        refused(store.create(other, process("one")).await, StoreErrorKind::Stale);
        assert_eq!(store.load(&"one".into()).await.unwrap(), None);
    }
    assert_eq!(store.create(epoch, process("one")).await.unwrap(), Creation::Created);
    refused(store.create(others(epoch)[0], process("one")).await, StoreErrorKind::Stale);
}

/// A commit under another epoch is refused and changes nothing.
pub async fn a_stale_commit_is_refused(mut subject: Subject) {
    let (store, first) = subject.own().await;
    let pid = launch(&*store, first, process("one")).await;
    let (store, epoch) = subject.reopen(store).await;
    let before = load(&*store, &pid).await;
    for other in others(epoch) {
        refused(store.commit(boundary(&pid, other, ProcessState::Running)).await, StoreErrorKind::Stale);
    }
    assert_eq!(load(&*store, &pid).await, before);
    store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
    let latest = store.acquire().await.unwrap();
    refused(store.commit(boundary(&pid, epoch, ProcessState::Waiting)).await, StoreErrorKind::Stale);
    store.commit(boundary(&pid, latest, ProcessState::Waiting)).await.unwrap();
    assert_eq!(load(&*store, &pid).await.state, ProcessState::Waiting);
}

/// A memo under another epoch is refused and not found.
pub async fn a_stale_memo_is_refused(subject: Subject) {
    let (store, first) = subject.own().await;
    let pid = launch(&*store, first, process("one")).await;
    let epoch = store.acquire().await.unwrap();
    for other in others(epoch) {
        refused(store.put_memo(&pid, other, 1, "effect", "1".to_owned()).await, StoreErrorKind::Stale);
    }
    assert_eq!(store.memo(&pid, 1, "effect").await.unwrap(), None);
    store.put_memo(&pid, epoch, 1, "effect", "1".to_owned()).await.unwrap();
}

/// A parking under another epoch is refused, and the process stays where it is.
pub async fn a_stale_parking_is_refused(subject: Subject) {
    let (store, first) = subject.own().await;
    let pid = launch(&*store, first, process("one")).await;
    let epoch = store.acquire().await.unwrap();
    for other in others(epoch) {
        refused(store.park(other, &pid, "why".to_owned()).await, StoreErrorKind::Stale);
    }
    assert_eq!(load(&*store, &pid).await.parked, None);
    store.park(epoch, &pid, "why".to_owned()).await.unwrap();
}

/// Requests cannot be discarded under another epoch.
pub async fn a_stale_discarding_is_refused(subject: Subject) {
    let (store, _) = subject.own().await;
    let id = store.request(&"one".into(), Request::Play).await.unwrap();
    let epoch = store.acquire().await.unwrap();
    for other in others(epoch) {
        refused(store.discard_requests(other, vec![id]).await, StoreErrorKind::Stale);
    }
    assert_eq!(store.requests(None).await.unwrap().len(), 1);
}

/// Who has released writes no more, but reads and asks.
pub async fn after_a_release_only_requests_are_written(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    store.release(epoch).await.unwrap();
    refused(store.create(epoch, process("two")).await, StoreErrorKind::Stale);
    refused(store.commit(boundary(&pid, epoch, ProcessState::Running)).await, StoreErrorKind::Stale);
    refused(store.put_memo(&pid, epoch, 1, "effect", "1".to_owned()).await, StoreErrorKind::Stale);
    refused(store.park(epoch, &pid, "why".to_owned()).await, StoreErrorKind::Stale);
    refused(store.discard_requests(epoch, Vec::new()).await, StoreErrorKind::Stale);
    assert_eq!(load(&*store, &pid).await.state, ProcessState::Created);
    let id = store.request(&pid, Request::Play).await.unwrap();
    assert_eq!(store.requests(None).await.unwrap()[0].id, id);
    store.release(epoch).await.unwrap();
}

/// Who was taken over gives nothing up.
pub async fn a_stale_owner_does_not_release(subject: Subject) {
    let (store, stale) = subject.own().await;
    let epoch = store.acquire().await.unwrap();
    store.release(stale).await.unwrap();
    launch(&*store, epoch, process("one")).await;
}

/// Who has never owned reads and asks, and writes nothing.
pub async fn without_an_owner_only_requests_are_written(subject: Subject) {
    let store = subject.store();
    for epoch in [Epoch(0), Epoch(1)] {
        refused(store.create(epoch, process("one")).await, StoreErrorKind::Stale);
    }
    assert_eq!(store.load(&"one".into()).await.unwrap(), None);
    assert_eq!(store.unfinished(None, 10).await.unwrap().records, []);
    store.request(&"one".into(), Request::Play).await.unwrap();
    assert_eq!(store.requests(None).await.unwrap().len(), 1);
}
