//! Sentence 32, where workers share the store.

use super::super::look::look;
use super::super::{PROGRESS, Subject, boundary, process, refused};
use super::{claim, create, lapse, lost, unowned};
use crate::process::{ProcessId, ProcessState};
use crate::store::{Commit, Epoch, Hint, NewProcess, StoreErrorKind};

fn hint(pid: &ProcessId, steps: u64) -> Hint {
    Hint { pid: pid.clone(), steps, progress: PROGRESS }
}

fn running(pid: &str) -> NewProcess {
    NewProcess { begun: Some("step"), ..process(pid) }
}

/// Nobody's, a worker's, a lost worker's, and that of who claims it then.
pub async fn whose_a_process_is_is_seen(mut subject: Subject) {
    let [(store, one), (second, other)] = subject.two().await;
    create(&*store, one, [unowned("free"), running("runs"), running("ended"), running("parked")]).await;
    let owner = async |pid: &str| look(&*second, &pid.into()).await.owner;
    assert_eq!((owner("free").await, owner("runs").await), (None, Some((one, true))));
    super::super::end(&*store, one, &"ended".into()).await;
    store.park(one, &"parked".into(), "why".to_owned()).await.unwrap();
    assert_eq!((owner("ended").await, owner("parked").await), (None, None));
    let (gone, _) = lost(&*store, 10).await;
    assert_eq!(owner("free").await, Some((gone, false)));
    assert!(look(&*second, &"free".into()).await.is_lost());
    assert_eq!(claim(&*second, other).await, ["free"]);
    assert_eq!(owner("free").await, Some((other, true)));
}

/// Seen by others, as long as the step runs in the worker that told it.
pub async fn a_hint_is_of_the_step_that_runs(mut subject: Subject) {
    let [(store, one), (second, other)] = subject.two().await;
    create(&*store, one, [running("a"), running("b")]).await;
    let [a, b] = ["a", "b"].map(ProcessId::from);
    let seen = async |pid: &ProcessId| look(&*second, pid).await.hint;
    store.hint(one, vec![hint(&a, 0), hint(&b, 0), hint(&"unknown".into(), 0)]).await.unwrap();
    assert_eq!((seen(&a).await, seen(&b).await), (Some(PROGRESS), Some(PROGRESS)));
    // What is told replaces what was told before; again, it is the same.
    for _ in 0..2 {
        store.hint(one, vec![hint(&b, 0)]).await.unwrap();
        assert_eq!((seen(&a).await, seen(&b).await), (None, Some(PROGRESS)));
    }
    // Others tell of their own steps alone.
    second.hint(other, vec![hint(&a, 0)]).await.unwrap();
    assert_eq!((seen(&a).await, seen(&b).await), (None, Some(PROGRESS)));
    store.commit(Commit { steps: 1, ..boundary(&b, one, ProcessState::Running) }).await.unwrap();
    assert_eq!(seen(&b).await, None);
    store.hint(one, vec![hint(&b, 1)]).await.unwrap();
    assert_eq!(seen(&b).await, Some(PROGRESS));
    store.hand_over(one, vec![b.clone()]).await.unwrap();
    assert_eq!(seen(&b).await, None);
    assert_eq!(claim(&*second, other).await, ["b"]);
    assert_eq!(seen(&b).await, None);
}

/// From when its lease has lapsed.
pub async fn a_lost_worker_gives_no_hints(mut subject: Subject) {
    let [(store, one), _second] = subject.two().await;
    let pid: ProcessId = "free".into();
    let worker = |epoch: Epoch| (epoch, vec![hint(&pid, 1)]);
    loop {
        create(&*store, one, [unowned("free")]).await;
        let short = store.join(super::worker(&[""]), super::SHORT).await.unwrap();
        let (epoch, hints) = worker(short);
        let told = async {
            store.claim(epoch, 1, crate::limits::ATTEMPTS).await?;
            store.commit(Commit { steps: 1, ..boundary(&pid, epoch, ProcessState::Running) }).await?;
            store.hint(epoch, hints.clone()).await
        };
        match told.await {
            Err(error) if error.kind() == StoreErrorKind::Stale => {
                // The machine was too slow: once more.
                lapse(&*store, epoch).await;
                claim(&*store, one).await;
                super::super::end(&*store, one, &pid).await;
                store.delete(one, &pid).await.unwrap();
                continue;
            }
            told => told.unwrap(),
        }
        lapse(&*store, epoch).await;
        let seen = look(&*store, &pid).await;
        assert_eq!((seen.hint, seen.owner), (None, Some((epoch, false))));
        refused(store.hint(epoch, hints).await, StoreErrorKind::Stale);
        return;
    }
}
