//! Sentences 18 and 33, of workers: those that are asked to drain, and what was imported.

use super::super::{Subject, end, refused, transfer::family};
use super::{claim, join, lost, row};
use crate::process::ProcessId;
use crate::store::{Creation, Epoch, Placement, StoreErrorKind};

/// With each renewal from then on, and it alone.
pub async fn a_worker_that_is_asked_to_drain_is_told(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    assert!(!first.renew(one, 0).await.unwrap().drain);
    assert!(second.ask_to_drain(one).await.unwrap());
    // Again, it is nothing new.
    assert!(second.ask_to_drain(one).await.unwrap());
    for _ in 0..2 {
        assert!(first.renew(one, 0).await.unwrap().drain);
        assert!(!second.renew(other, 0).await.unwrap().drain);
    }
    assert!(row(&*second, one).await.unwrap().drains && !row(&*second, other).await.unwrap().drains);
    first.release(one).await.unwrap();
    assert!(!second.ask_to_drain(one).await.unwrap(), "it has left");
    assert!(!second.ask_to_drain(Epoch(1_000_000)).await.unwrap(), "there never was one");
    let next = join(&*first).await;
    assert!(!first.renew(next, 0).await.unwrap().drain, "who joins anew is another");
    let (gone, _) = lost(&*first, 0).await;
    assert!(!second.ask_to_drain(gone).await.unwrap(), "it is lost");
}

/// Whoever serves its queue takes it as soon as it can go on.
pub async fn an_imported_process_is_nobodys(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let mut family = family().await;
    family[0].record.paused = false;
    family[2].placement = Placement { priority: 5, ..Placement::default() };
    let placed = family[2].placement.clone();
    assert_eq!(first.import(one, family).await.unwrap(), Creation::Created);
    let [parent, open] = ["parent", "open"].map(ProcessId::from);
    assert_eq!(second.placement(&open).await.unwrap(), placed);
    assert_eq!(row(&*second, one).await.unwrap().owned, 0);
    assert_eq!(claim(&*second, other).await, [""; 0], "one waits, the other is parked");
    assert!(first.unpark(one, &open).await.unwrap());
    assert_eq!(claim(&*second, other).await, ["open"]);
    assert_eq!(end(&*second, other, &open).await.ready_parent, Some(parent));
    assert_eq!(claim(&*second, other).await, ["parent"]);
    first.release(one).await.unwrap();
    refused(first.import(one, Vec::new()).await, StoreErrorKind::Stale);
}
