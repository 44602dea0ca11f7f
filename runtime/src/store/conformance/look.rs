//! Sentence 32, in every store.

use super::{AT, PROGRESS, Subject, boundary, end, launch, load, process};
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{Commit, Hint, Look, StatusText, Store};

/// What is seen of one.
pub(super) async fn look(store: &dyn Store, pid: &ProcessId) -> Look {
    let looks = store.look(vec![pid.clone()]).await.unwrap();
    assert_eq!((looks.processes.len(), looks.unreadable), (1, Vec::new()));
    looks.processes.into_iter().next().unwrap()
}

/// Each as it is loaded, without what it has in it, and nothing of those that are not there.
pub async fn processes_are_looked_at_by_their_ids(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    assert_eq!(store.look(Vec::new()).await.unwrap().processes, []);
    let pids = ["one", "o'ne", "ein Vorgang", "计算"];
    for pid in pids {
        launch(&*store, epoch, process(pid)).await;
    }
    end(&*store, epoch, &"one".into()).await;
    store.park(epoch, &"o'ne".into(), "why".to_owned()).await.unwrap();
    let asked = pids.iter().chain(&["unknown"]).map(|pid| ProcessId::from(*pid)).collect();
    let mut looks = store.look(asked).await.unwrap();
    looks.processes.sort_by_key(|look| pids.iter().position(|pid| *pid == look.pid.to_string()));
    assert_eq!((looks.processes.len(), looks.unreadable), (pids.len(), Vec::new()));
    for (look, pid) in looks.processes.into_iter().zip(pids) {
        assert_eq!(look, Look::from(&load(&*store, &pid.into()).await));
    }
    // What one stopped with may be anything, and is left out where it is long.
    let long = launch(&*store, epoch, process("long")).await;
    let result = "r".repeat(limits::SUMMARY_ENDED_BYTES);
    let ended = Some(format!(r#"{{"state":"finished","result":"{result}"}}"#));
    store.commit(Commit { ended, ..boundary(&long, epoch, ProcessState::Finished) }).await.unwrap();
    let seen = look(&*store, &long).await;
    assert_eq!(seen, Look::from(&load(&*store, &long).await));
    assert_eq!(seen.ended.as_deref(), Some(r#"{"state":"finished"}"#));
    // Until it says something else, also after a restart.
    let pid: ProcessId = "计算".into();
    let status = Some(StatusText { progress: Some(PROGRESS), ..StatusText::default() });
    store.commit(Commit { status, ..boundary(&pid, epoch, ProcessState::Running) }).await.unwrap();
    store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
    let (store, _) = subject.reopen(store).await;
    assert_eq!(look(&*store, &pid).await.progress(), Some(PROGRESS));
}

/// A store may lose it, or keep none.
pub async fn a_hint_is_seen_until_its_boundary_at_most(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
    let before = load(&*store, &pid).await;
    let hint = Hint { pid: pid.clone(), steps: before.steps, progress: PROGRESS };
    store.hint(epoch, vec![hint.clone()]).await.unwrap();
    let seen = look(&*store, &pid).await;
    assert!(seen.hint.is_none_or(|seen| seen == PROGRESS));
    assert_eq!(load(&*store, &pid).await, before, "it changes nothing of the process");
    let commit = Commit { steps: before.steps + 1, at: AT, ..boundary(&pid, epoch, ProcessState::Running) };
    store.commit(commit).await.unwrap();
    assert_eq!(look(&*store, &pid).await.hint, None);
    // Nor is it of who has the store next.
    store.hint(epoch, vec![Hint { steps: before.steps + 1, ..hint }]).await.unwrap();
    let (store, _) = subject.reopen(store).await;
    assert_eq!(look(&*store, &pid).await.hint, None);
}
