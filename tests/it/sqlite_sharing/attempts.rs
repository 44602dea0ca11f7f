//! Where something goes wrong: sentences 27 to 30.

use procession::clock::Timestamp;
use procession::process::Request;
use procession::store::{AwaitedChild, Awaiting, Commit, Parent};

use super::*;

/// A worker that has claimed what it could, and is lost.
async fn lost(store: &SqliteStore, file: &Path, most: usize) -> Vec<String> {
    let epoch = join(store).await;
    let pids = claim(store, epoch, most).await;
    by_hand(file, &format!("UPDATE worker SET lapses_at = 1 WHERE epoch = {}", epoch.0));
    pids
}

async fn claim(store: &SqliteStore, epoch: Epoch, most: usize) -> Vec<String> {
    let claimed = store.claim(epoch, most, 100).await.unwrap();
    assert_eq!(claimed.parked, []);
    claimed.records.iter().map(|record| record.pid.to_string()).collect()
}

#[tokio::test]
async fn a_process_that_cannot_be_loaded_is_given_to_others_and_parked_at_last() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let (one, other) = (join(&store).await, join(&store).await);
    let pid = ProcessId::from("one");
    store.create(one, process("one")).await.unwrap();
    let refused = store.fail(other, &pid, "not here".to_owned(), 3).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Stale, "it is another's");
    for (epoch, next) in [(one, other), (other, one)] {
        assert!(!store.fail(epoch, &pid, "not here".to_owned(), 3).await.unwrap());
        assert_eq!(claim(&store, next, 1).await, ["one"]);
    }
    assert!(store.fail(one, &pid, "not here either".to_owned(), 3).await.unwrap());
    let record = store.load(&pid).await.unwrap().unwrap();
    assert_eq!(record.parked.as_deref(), Some("not here either"));
    assert_eq!(claim(&store, one, 10).await, [""; 0]);
    // It starts anew with its attempts.
    assert!(store.unpark(other, &pid).await.unwrap());
    assert!(!store.unpark(other, &pid).await.unwrap(), "it is parked no more");
    assert_eq!(claim(&store, one, 10).await, ["one"]);
    assert!(!store.fail(one, &pid, "not here".to_owned(), 3).await.unwrap());
    let refused = store.unpark(one, &"absent".into()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotFound);
}

/// A boundary shows that it is none; what comes by itself with others is theirs at once.
#[tokio::test]
async fn a_worker_has_one_process_at_most_that_was_lost_with_two() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let creator = join(&store).await;
    for pid in ["a", "b", "c"] {
        store.create(creator, unowned(pid)).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(lost(&store, &file, 10).await, ["a", "b", "c"]);
    }
    for pid in ["d", "e"] {
        store.create(creator, unowned(pid)).await.unwrap();
    }
    let (one, other) = (join(&store).await, join(&store).await);
    assert_eq!(claim(&store, one, 10).await, ["a", "d", "e"]);
    assert_eq!(claim(&store, one, 10).await, [""; 0]);
    assert_eq!(claim(&store, other, 10).await, ["b"]);
    store.commit(boundary(&"a".into(), one, "{}".to_owned())).await.unwrap();
    assert_eq!(claim(&store, one, 10).await, ["c"]);
    store.hand_over(one, vec!["a".into(), "c".into()]).await.unwrap();
    assert_eq!(claim(&store, other, 10).await, ["a"], "it has `b`, whose boundary is yet to come");
}

#[tokio::test]
async fn all_processes_that_have_not_ended_are_told_of_with_whose_they_are() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let epoch = join(&store).await;
    let lost = join(&store).await;
    let placement = Placement { queue: "gpu".to_owned(), priority: 2, unowned: false };
    store.create(epoch, NewProcess { placement, ..process("parent") }).await.unwrap();
    let child = |pid: &str| {
        let parent = Some(Parent { pid: "parent".into(), awaited: true, follows: false });
        NewProcess { parent, ..process(pid) }
    };
    let awaited = |pid: &str| AwaitedChild { pid: pid.into(), allow_failure: false };
    let awaiting = Awaiting {
        children: vec![awaited("parked"), awaited("free")],
        wake_at: Some(Timestamp::from_millis(77)),
        resume: Some("a word".to_owned()),
    };
    let waits = Commit {
        awaiting: Some(awaiting),
        children: vec![child("parked"), child("free")],
        to: ProcessState::Waiting,
        ..boundary(&"parent".into(), epoch, "{}".to_owned())
    };
    store.commit(waits).await.unwrap();
    store.park(epoch, &"parked".into(), "why".to_owned()).await.unwrap();
    store.hand_over(epoch, vec!["free".into()]).await.unwrap();
    store.create(lost, process("lost")).await.unwrap();
    store.create(epoch, process("over")).await.unwrap();
    let ended = Some(r#"{"state":"finished"}"#.to_owned());
    let end = Commit { ended, to: ProcessState::Finished, ..boundary(&"over".into(), epoch, "{}".to_owned()) };
    store.commit(end).await.unwrap();
    by_hand(&file, &format!("UPDATE worker SET lapses_at = 1 WHERE epoch = {}", lost.0));
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.standing(after, 2).await.unwrap();
        assert_eq!(page.unreadable, []);
        all.extend(page.standings);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let whose: Vec<_> = all.iter().map(|one| (one.pid.to_string(), one.owner, one.queue.as_str())).collect();
    let expected = [
        ("parent".to_owned(), Some((epoch, true)), "gpu"),
        ("parked".to_owned(), None, "gpu"),
        ("free".to_owned(), None, "gpu"),
        ("lost".to_owned(), Some((lost, false)), ""),
    ];
    assert_eq!(whose, expected);
    let parent = &all[0];
    assert_eq!((parent.open_children, parent.vain_children, parent.priority), (2, 1, 2));
    assert_eq!((parent.wake_at, parent.resume), (Some(Timestamp::from_millis(77)), true));
    assert_eq!((all[1].parked.as_deref(), all[1].parent.as_ref()), (Some("why"), Some(&parent.pid)));
    store.request(&parent.pid, Request::Play).await.unwrap();
    by_hand(&file, "UPDATE checkpoint SET state = 'bogus' WHERE id = 1");
    let page = store.standing(None, 10).await.unwrap();
    assert_eq!((page.standings.len(), page.unreadable.len()), (3, 1));
}
