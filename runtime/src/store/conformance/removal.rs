//! Sentence 15, and the second half of 12.

use super::{AT, Subject, boundary, child, end, launch, load, process, refused};
use crate::process::{ProcessId, ProcessState, Request};
use crate::store::{Commit, NewProcess, Parent, Store, StoreErrorKind};

/// A deleted process leaves nothing, and its id and key are free.
pub async fn a_deleted_process_leaves_nothing(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let new = |context: &str| NewProcess { key: Some("key".to_owned()), context: context.to_owned(), ..process("one") };
    let pid = launch(&*store, epoch, new("{}")).await;
    let other = launch(&*store, epoch, process("other")).await;
    let report = vec!["line".to_owned()];
    let step = Commit { transition: Some("step"), report, ..boundary(&pid, epoch, ProcessState::Running) };
    store.commit(step).await.unwrap();
    store.put_memo(&pid, epoch, 0, "effect", "1".to_owned()).await.unwrap();
    store.save_snapshot(epoch, &pid, "tag", AT).await.unwrap();
    store.save_snapshot(epoch, &other, "tag", AT).await.unwrap();
    store.request(&pid, Request::Play).await.unwrap();
    let kept = store.request(&other, Request::Play).await.unwrap();
    end(&*store, epoch, &pid).await;
    assert!(store.delete(epoch, &pid).await.unwrap());
    assert!(!store.delete(epoch, &pid).await.unwrap(), "it is gone");
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(store.load(&pid).await.unwrap(), None);
    assert_eq!(store.find("key").await.unwrap(), None);
    assert_eq!(store.termination(&pid).await.unwrap(), None);
    let requests = store.requests(None).await.unwrap();
    assert_eq!(requests.iter().map(|row| row.id).collect::<Vec<_>>(), [kept]);
    launch(&*store, epoch, new(r#"{"new":1}"#)).await;
    assert_eq!(load(&*store, &pid).await.context, r#"{"new":1}"#);
    assert_eq!(store.history(&pid).await.unwrap(), []);
    assert_eq!(store.report(&pid).await.unwrap(), []);
    assert_eq!(store.memo(&pid, 0, "effect").await.unwrap(), None);
    assert_eq!(store.snapshots_of(&pid).await.unwrap(), []);
    assert_eq!(store.snapshots_of(&other).await.unwrap().len(), 1);
}

/// A process that has not ended, or whose parent may still ask how it ended, is not deleted.
pub async fn an_unfinished_process_is_not_deleted(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let pid = launch(&*store, epoch, child("child", &parent, true)).await;
    refused(store.delete(epoch, &pid).await, StoreErrorKind::Unfinished);
    end(&*store, epoch, &pid).await;
    refused(store.delete(epoch, &pid).await, StoreErrorKind::Unfinished);
    assert!(store.termination(&pid).await.unwrap().is_some());
    end(&*store, epoch, &parent).await;
    assert!(store.delete(epoch, &pid).await.unwrap());
    assert_eq!(store.children(&parent).await.unwrap(), []);
    assert!(!store.delete(epoch, &"unknown".into()).await.unwrap());
}

/// Children of a deleted process stay, without a parent.
pub async fn children_of_a_deleted_process_stay(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let detached = launch(&*store, epoch, child("detached", &parent, false)).await;
    store.save_snapshot(epoch, &detached, "tag", AT).await.unwrap();
    end(&*store, epoch, &parent).await;
    assert!(store.delete(epoch, &parent).await.unwrap());
    assert_eq!(load(&*store, &detached).await.parent, None);
    assert_eq!(store.load_snapshot(&detached, "tag").await.unwrap().unwrap().parent, None);
    assert_eq!(store.restore(epoch, &detached, "tag", AT).await.unwrap().parent, None);
    assert_eq!(store.children(&parent).await.unwrap(), []);
    // Another of the same id is no parent of it.
    launch(&*store, epoch, process("parent")).await;
    assert_eq!(end(&*store, epoch, &detached).await.ready_parent, None);
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(load(&*store, &detached).await.parent, None);
    let orphan =
        NewProcess { parent: Some(Parent { pid: "gone".into(), awaited: true, follows: false }), ..process("x") };
    refused(store.create(epoch, orphan).await, StoreErrorKind::NotFound);
}

/// Every process is listed once, by its state or whatever it is, in the order of creation, in pages.
pub async fn processes_are_listed_by_their_state(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let mut created = Vec::new();
    for number in 0..20_i64 {
        let pid = launch(&*store, epoch, process(number)).await;
        match number % 4 {
            0 => drop(end(&*store, epoch, &pid).await),
            1 => drop(store.commit(boundary(&pid, epoch, ProcessState::Waiting)).await.unwrap()),
            2 => store.park(epoch, &pid, "why".to_owned()).await.unwrap(),
            _ => {}
        }
        created.push(pid);
    }
    store.delete(epoch, &created.remove(4)).await.unwrap();
    let (store, _) = subject.reopen(store).await;
    let cases = [
        (vec![], 19),
        (vec![ProcessState::Finished], 4),
        (vec![ProcessState::Waiting], 5),
        (vec![ProcessState::Created], 10),
        (vec![ProcessState::Waiting, ProcessState::Finished], 9),
        (vec![ProcessState::Excepted], 0),
    ];
    for (states, number) in cases {
        for most in [1, 3, 100] {
            let found = listed(&*store, &states, most).await;
            assert_eq!(found.len(), number, "{states:?}");
            let mut expected = created.clone();
            expected.retain(|pid| found.contains(pid));
            assert_eq!(found, expected, "in order");
        }
    }
}

async fn listed(store: &dyn Store, states: &[ProcessState], most: usize) -> Vec<ProcessId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(states.to_vec(), after, most).await.unwrap();
        assert!(page.records.len() <= most);
        assert!(states.is_empty() || page.records.iter().all(|record| states.contains(&record.state)));
        found.extend(page.records.into_iter().map(|record| record.pid));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}
