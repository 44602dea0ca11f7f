//! What is said of stores that workers do not share.

use super::sharing::{LONG, worker};
use super::{Subject, boundary, launch, load, process, refused};
use crate::process::ProcessState;
use crate::store::{Commit, NewProcess, Placement, StoreErrorKind};

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
