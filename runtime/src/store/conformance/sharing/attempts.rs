//! Sentences 21 and 22.

use super::super::look::look;
use super::super::{Subject, boundary, launch, load, process, refused};
use super::{claim, create, for_a_resume, join, lost, unowned, waiting};
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{Epoch, Store, StoreErrorKind};

/// Claims all that there is and is lost, so many times.
async fn lose(store: &dyn Store, times: u32) {
    for time in 0..times {
        let (_, claimed) = lost(store, 100).await;
        assert!(!claimed.records.is_empty(), "lost {time} times");
        assert_eq!(claimed.parked, []);
        for (pid, attempts) in claimed.attempts {
            assert_eq!(look(store, &pid).await.attempts, attempts, "whoever looks sees it");
        }
    }
}

/// Up to the limit; beyond it the process is parked with a reason, and others go on.
pub async fn each_claim_after_a_loss_is_an_attempt(subject: Subject) {
    let store = subject.store();
    let epoch = join(&*store).await;
    create(&*store, epoch, [unowned("poison")]).await;
    // The first claim follows no loss.
    lose(&*store, limits::ATTEMPTS + 1).await;
    assert_eq!(look(&*store, &"poison".into()).await.attempt(), Some(u64::from(limits::ATTEMPTS) + 1));
    create(&*store, epoch, [unowned("other")]).await;
    let pid: ProcessId = "poison".into();
    let claimed = store.claim(epoch, 10, crate::limits::ATTEMPTS).await.unwrap();
    let records: Vec<_> = claimed.records.iter().map(|record| record.pid.to_string()).collect();
    assert_eq!(records, ["other"]);
    let (parked, reason) = &claimed.parked[0];
    assert_eq!((parked, claimed.parked.len()), (&pid, 1));
    assert_eq!(load(&*store, &pid).await.parked.as_ref(), Some(reason));
    assert!(!reason.is_empty());
    assert_eq!(look(&*store, &pid).await.attempt(), None, "it is not tried any more");
    assert_eq!(claim(&*store, epoch).await, [""; 0]);
    let unfinished = store.unfinished(None, 10).await.unwrap();
    assert_eq!(unfinished.records.len(), 1, "the other one");
    // Whoever takes it back has all attempts before it.
    store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
    store.hand_over(epoch, vec![pid]).await.unwrap();
    lose(&*store, 2).await;
}

/// The count is of losses without a boundary in between.
pub async fn a_boundary_starts_the_attempts_anew(subject: Subject) {
    let store = subject.store();
    let epoch = join(&*store).await;
    create(&*store, epoch, [unowned("one")]).await;
    for _ in 0..2 {
        lose(&*store, limits::ATTEMPTS - 1).await;
        assert_eq!(claim(&*store, epoch).await, ["one"]);
        let attempt = async || look(&*store, &"one".into()).await.attempt();
        assert_eq!(attempt().await, Some(u64::from(limits::ATTEMPTS)));
        store.commit(boundary(&"one".into(), epoch, ProcessState::Running)).await.unwrap();
        assert_eq!(attempt().await, Some(1));
        store.hand_over(epoch, vec!["one".into()]).await.unwrap();
    }
    lose(&*store, 1).await;
}

async fn pass_on(store: &dyn Store, epoch: Epoch, leave: bool) -> Epoch {
    if leave {
        store.release(epoch).await.unwrap();
        return join(store).await;
    }
    store.hand_over(epoch, vec!["one".into(), "unknown".into()]).await.unwrap();
    epoch
}

async fn is_no_attempt(mut subject: Subject, leave: bool) {
    let [mut holder, mut next] = subject.two().await;
    launch(&*holder.0, holder.1, process("one")).await;
    for _ in 0..2 * limits::ATTEMPTS {
        let (store, epoch) = &mut holder;
        let given_up = *epoch;
        *epoch = pass_on(&**store, given_up, leave).await;
        assert_eq!(claim(&*next.0, next.1).await, ["one"]);
        refused(store.commit(boundary(&"one".into(), given_up, ProcessState::Waiting)).await, StoreErrorKind::Stale);
        std::mem::swap(&mut holder, &mut next);
    }
    assert_eq!(load(&*next.0, &"one".into()).await.state, ProcessState::Created);
}

/// By another worker, or by the same; no matter how often.
pub async fn what_is_handed_over_is_claimed_at_once(subject: Subject) {
    is_no_attempt(subject, false).await;
}

/// All that a worker had which leaves.
pub async fn what_is_released_is_claimed_at_once(subject: Subject) {
    is_no_attempt(subject, true).await;
}

/// What others have stays theirs, and what waits goes on waiting.
pub async fn only_what_a_worker_has_is_handed_over(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let (mine, yours) = (launch(&*first, one, process("a")).await, launch(&*second, other, process("b")).await);
    first.hand_over(one, vec![yours.clone(), "unknown".into()]).await.unwrap();
    first.hand_over(one, Vec::new()).await.unwrap();
    assert_eq!(claim(&*first, one).await, [""; 0]);
    second.commit(boundary(&yours, other, ProcessState::Running)).await.unwrap();
    first.commit(waiting(&mine, one, for_a_resume())).await.unwrap();
    first.hand_over(one, vec![mine.clone()]).await.unwrap();
    assert_eq!(claim(&*second, other).await, [""; 0]);
    refused(first.commit(boundary(&mine, one, ProcessState::Running)).await, StoreErrorKind::Stale);
}

/// Who acquires the store makes workers stale, but loses nothing; nor is what it had lost when workers join.
pub async fn what_an_owner_of_the_store_had_is_claimed_without_an_attempt(subject: Subject) {
    let store = subject.store();
    let worker = join(&*store).await;
    create(&*store, worker, [process("a worker's")]).await;
    let owner = store.acquire().await.unwrap();
    create(&*store, owner, [process("the owner's")]).await;
    let epoch = join(&*store).await;
    let claimed = store.claim(epoch, 10, 0).await.unwrap();
    assert_eq!(claimed.parked, []);
    let pids: Vec<_> = claimed.records.iter().map(|record| record.pid.to_string()).collect();
    assert_eq!(pids, ["a worker's", "the owner's"]);
}
