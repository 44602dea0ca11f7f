//! Sentences 27 and 28.

use super::super::look::look;
use super::super::{Subject, boundary, end, launch, load, process, refused};
use super::{LONG, claim, create, for_a_resume, join, lost, unowned, waiting, worker};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState, Request};
use crate::store::{Awaiting, Claimed, Commit, Epoch, Store, StoreErrorKind};

async fn claimed(store: &dyn Store, epoch: Epoch, most: usize) -> Claimed {
    store.claim(epoch, most, 100).await.unwrap()
}

async fn pids(store: &dyn Store, epoch: Epoch) -> Vec<String> {
    claimed(store, epoch, 100).await.records.iter().map(|record| record.pid.to_string()).collect()
}

/// As often as it may be; then it is parked with the reason of the last one. Only its own worker gives it up.
pub async fn what_cannot_be_loaded_is_given_to_others_and_parked_in_the_end(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let pid: ProcessId = "poison".into();
    create(&*first, one, [unowned("poison")]).await;
    for attempt in 1..=4 {
        let (store, epoch) = if attempt % 2 == 1 { (&first, one) } else { (&second, other) };
        let (another, stranger) = if attempt % 2 == 1 { (&second, other) } else { (&first, one) };
        let taken = claimed(&**store, epoch, 10).await;
        assert_eq!(taken.records.len(), 1, "attempt {attempt}");
        let before = taken.attempts.iter().map(|(_, attempts)| *attempts).sum::<u32>();
        assert_eq!(before, attempt - 1, "a claim tells of attempts");
        refused(another.fail(stranger, &pid, "not mine".to_owned(), 4).await, StoreErrorKind::Stale);
        let parked = store.fail(epoch, &pid, format!("no. {attempt}"), 4).await.unwrap();
        assert_eq!(parked, attempt == 4, "attempt {attempt}");
        if !parked {
            refused(store.commit(boundary(&pid, epoch, ProcessState::Running)).await, StoreErrorKind::Stale);
        }
    }
    assert_eq!(load(&*first, &pid).await.parked.as_deref(), Some("no. 4"));
    assert_eq!(claim(&*second, other).await, [""; 0]);
    refused(first.fail(one, &"unknown".into(), String::new(), 4).await, StoreErrorKind::NotFound);
    let over = launch(&*first, one, process("over")).await;
    end(&*first, one, &over).await;
    refused(first.fail(one, &over, String::new(), 4).await, StoreErrorKind::Ended);
}

/// A boundary starts anew with failures, too; they and losses are of one count, but only losses make suspects.
pub async fn failures_and_losses_are_counted_together(subject: Subject) {
    let store = subject.store();
    let (pid, epoch) = (ProcessId::from("one"), join(&*store).await);
    create(&*store, epoch, [unowned("one")]).await;
    for _ in 0..2 {
        assert_eq!(pids(&*store, epoch).await, ["one"]);
        assert!(!store.fail(epoch, &pid, "why".to_owned(), 4).await.unwrap());
        assert_eq!(look(&*store, &pid).await.attempt(), Some(2));
        lost(&*store, 10).await;
        let taken = claimed(&*store, epoch, 10).await;
        assert_eq!((taken.attempts, taken.suspect), (vec![(pid.clone(), 2)], None), "one failure and one loss");
        store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
        store.hand_over(epoch, vec![pid.clone()]).await.unwrap();
    }
    assert_eq!(claimed(&*store, epoch, 10).await.attempts, []);
}

/// So many that were lost with their workers so often.
async fn suspects(store: &dyn Store, epoch: Epoch, names: &[&str]) {
    create(store, epoch, names.iter().map(|name| unowned(*name))).await;
    for _ in 0..limits::SUSPECT {
        let (_, taken) = lost(store, 100).await;
        assert_eq!(taken.records.len(), names.len(), "they are no suspects yet");
    }
}

/// One at a time, each until its next boundary; others are claimed beside it, also those that come after many suspects.
pub async fn a_worker_has_one_suspect_at_a_time(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    suspects(&*first, one, &["a", "b", "c", "d"]).await;
    create(&*first, one, [unowned("calm")]).await;
    let taken = claimed(&*first, one, 2).await;
    let given: Vec<_> = taken.records.iter().map(|record| record.pid.to_string()).collect();
    assert_eq!(given, ["a", "calm"]);
    assert_eq!((taken.attempts, taken.suspect), (vec![("a".into(), limits::SUSPECT)], Some("a".into())));
    assert_eq!(pids(&*first, one).await, [""; 0], "it has one");
    assert_eq!(pids(&*second, other).await, ["b"]);
    // Its boundary lets the next one come.
    first.commit(boundary(&"a".into(), one, ProcessState::Running)).await.unwrap();
    assert_eq!(pids(&*first, one).await, ["c"]);
    assert_eq!(pids(&*second, other).await, [""; 0]);
    // So does its handing over, though it is a suspect still.
    second.hand_over(other, vec!["b".into()]).await.unwrap();
    assert_eq!(pids(&*second, other).await, ["b"]);
    end(&*second, other, &"b".into()).await;
    assert_eq!(pids(&*second, other).await, ["d"]);
    let rest = first.join(worker(&[""]), LONG).await.unwrap();
    assert_eq!(pids(&*first, rest).await, [""; 0]);
}

/// Whatever it is that lets it go on: one in a claim, and none beside it while it can; one that rests at a worker keeps it from
/// none.
pub async fn a_suspect_that_rests_does_not_count(subject: Subject) {
    let store = subject.store();
    let epoch = join(&*store).await;
    let all = ["waits", "paused", "woken", "works"];
    create(&*store, epoch, all.map(unowned)).await;
    assert_eq!(pids(&*store, epoch).await, all);
    let all = all.map(ProcessId::from);
    store.commit(waiting(&all[0], epoch, for_a_resume())).await.unwrap();
    store.commit(Commit { paused: true, ..boundary(&all[1], epoch, ProcessState::Running) }).await.unwrap();
    let past = Awaiting { wake_at: Some(Timestamp::from_millis(1)), ..Awaiting::default() };
    store.commit(waiting(&all[2], epoch, past)).await.unwrap();
    let mut asked = Vec::new();
    for pid in &all[..2] {
        asked.push(store.request(pid, Request::Play).await.unwrap());
    }
    store.hand_over(epoch, all.to_vec()).await.unwrap();
    for _ in 0..limits::SUSPECT {
        assert_eq!(lost(&*store, 100).await.1.records.len(), all.len());
    }
    for (pid, request) in all.iter().zip(asked) {
        assert_eq!(pids(&*store, epoch).await, [pid.to_string()], "one in a claim");
        assert_eq!(pids(&*store, epoch).await, [""; 0], "something is asked of it");
        store.discard_requests(epoch, vec![request]).await.unwrap();
    }
    assert_eq!(pids(&*store, epoch).await, ["woken"]);
    assert_eq!(pids(&*store, epoch).await, [""; 0], "it does not wait any more");
    store.commit(boundary(&all[2], epoch, ProcessState::Running)).await.unwrap();
    assert_eq!(pids(&*store, epoch).await, ["works"]);
}

/// The one that is looked at first is parked where it has had too many, in the place of one that is given.
pub async fn a_suspect_with_too_many_attempts_is_parked_alone(subject: Subject) {
    let store = subject.store();
    let epoch = join(&*store).await;
    suspects(&*store, epoch, &["a", "b"]).await;
    for pid in ["a", "b"] {
        let taken = store.claim(epoch, 10, limits::SUSPECT - 1).await.unwrap();
        let parked: Vec<_> = taken.parked.iter().map(|(pid, _)| pid.to_string()).collect();
        assert_eq!((parked, taken.records.len(), taken.attempts), (vec![pid.to_owned()], 0, Vec::new()));
    }
}
