//! Sentences 13 and 14.

use super::{AT, Subject, boundary, child, end, ending, launch, load, process, refused};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState, Request};
use crate::store::{AwaitedChild, Awaiting, Commit, Epoch, HistoryEntry, Record, Snapshot, Store, StoreErrorKind};

const LATER: Timestamp = Timestamp::from_millis(1_700_000_100_000);

/// A boundary that changes all that a boundary can, but for what it waits for.
fn step(pid: &ProcessId, epoch: Epoch, number: u32) -> Commit {
    let text = Some(format!(r#"{{"number":{number}}}"#));
    Commit {
        steps: u64::from(number),
        transition: Some("step"),
        position: text.clone(),
        context: text.clone(),
        outputs: text.clone(),
        listeners: text.map(|text| format!("[{text}]")),
        ..boundary(pid, epoch, ProcessState::Running)
    }
}

async fn save(store: &dyn Store, epoch: Epoch, pid: &ProcessId, tag: &str) {
    store.save_snapshot(epoch, pid, tag, AT).await.unwrap();
}

async fn tags(store: &dyn Store, pid: &ProcessId) -> Vec<String> {
    store.snapshots_of(pid).await.unwrap().into_iter().map(|snapshot| snapshot.tag).collect()
}

/// A snapshot is the process as of its last boundary, and no later change of the process changes it (S99).
pub async fn a_snapshot_is_a_copy_that_nothing_changes(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let created = load(&*store, &pid).await;
    save(&*store, epoch, &pid, "created").await;
    store.commit(step(&pid, epoch, 1)).await.unwrap();
    let first = load(&*store, &pid).await;
    save(&*store, epoch, &pid, "first").await;
    store.commit(step(&pid, epoch, 2)).await.unwrap();
    end(&*store, epoch, &pid).await;
    let ended = load(&*store, &pid).await;
    save(&*store, epoch, &pid, "ended").await;
    let (store, _) = subject.reopen(store).await;
    for (tag, expected) in [("created", created), ("first", first), ("ended", ended)] {
        assert_eq!(store.load_snapshot(&pid, tag).await.unwrap(), Some(expected), "{tag}");
    }
    assert_eq!(store.load_snapshot(&pid, "First").await.unwrap(), None);
    assert_eq!(store.load_snapshot(&"two".into(), "first").await.unwrap(), None);
}

/// Saving again under one tag replaces what was there, and nothing else.
pub async fn a_snapshot_under_the_same_tag_is_replaced(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    for tag in ["", "tag", "Tag"] {
        save(&*store, epoch, &pid, tag).await;
    }
    store.commit(step(&pid, epoch, 1)).await.unwrap();
    store.save_snapshot(epoch, &pid, "tag", LATER).await.unwrap();
    let (store, _) = subject.reopen(store).await;
    let listed = store.snapshots_of(&pid).await.unwrap();
    let expected = |tag: &str, at, state, steps| Snapshot { pid: pid.clone(), tag: tag.to_owned(), at, state, steps };
    let created = ProcessState::Created;
    assert_eq!(
        listed,
        [
            expected("", AT, created, 0),
            expected("Tag", AT, created, 0),
            expected("tag", LATER, ProcessState::Running, 1)
        ]
    );
    assert_eq!(store.load_snapshot(&pid, "tag").await.unwrap(), Some(load(&*store, &pid).await));
}

/// The snapshots of one process, and those of all in pages, whatever their tags.
pub async fn snapshots_are_listed_of_one_and_of_all(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let odd = ["", " ", "..", "/", "a/b\\c", "CON", "nul.json", "ä€😀", "%41", "A", "a", "line\nbreak", "@", "~"];
    let mut expected = Vec::new();
    for pid in ["a", "A", "../b", "a@", "é"] {
        let pid = launch(&*store, epoch, process(pid)).await;
        for tag in odd {
            save(&*store, epoch, &pid, tag).await;
            expected.push((pid.to_string(), tag.to_owned()));
        }
    }
    launch(&*store, epoch, process("none")).await;
    expected.sort();
    let (store, _) = subject.reopen(store).await;
    for most in [1, 3, 1_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.snapshots(after.take(), most).await.unwrap();
            assert!(page.len() <= most);
            let Some(last) = page.last() else { break };
            after = Some((last.pid.clone(), last.tag.clone()));
            found.extend(page.into_iter().map(|snapshot| (snapshot.pid.to_string(), snapshot.tag)));
        }
        assert_eq!(found, expected, "in pages of {most}");
    }
    let mut sorted = odd.map(str::to_owned);
    sorted.sort();
    assert_eq!(tags(&*store, &"a".into()).await, sorted);
    assert_eq!(tags(&*store, &"none".into()).await, [""; 0]);
    assert_eq!(tags(&*store, &"unknown".into()).await, [""; 0]);
}

/// One snapshot, or all of a process, are deleted; what is not there is no error.
pub async fn deleting_what_is_not_there_is_no_error(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let one = launch(&*store, epoch, process("one")).await;
    let two = launch(&*store, epoch, process("two")).await;
    for pid in [&one, &two] {
        for tag in ["a", "b", "c"] {
            save(&*store, epoch, pid, tag).await;
        }
    }
    assert!(store.delete_snapshot(epoch, &one, "b").await.unwrap());
    assert!(!store.delete_snapshot(epoch, &one, "b").await.unwrap());
    assert!(!store.delete_snapshot(epoch, &"unknown".into(), "b").await.unwrap());
    assert_eq!(store.delete_snapshots(epoch, &two).await.unwrap(), 3);
    assert_eq!(store.delete_snapshots(epoch, &two).await.unwrap(), 0);
    let (store, _) = subject.reopen(store).await;
    assert_eq!(tags(&*store, &one).await, ["a", "c"]);
    assert_eq!(tags(&*store, &two).await, [""; 0]);
    assert!(store.load(&two).await.unwrap().is_some(), "the process itself stays");
}

/// Neither the tags nor the number of a process's snapshots grow without bound.
pub async fn snapshots_are_bounded(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let longest = "ä".repeat(limits::TAG_BYTES / 2);
    save(&*store, epoch, &pid, &longest).await;
    refused(store.save_snapshot(epoch, &pid, &format!("{longest}x"), AT).await, StoreErrorKind::Limit);
    for number in 1..limits::SNAPSHOTS {
        save(&*store, epoch, &pid, &number.to_string()).await;
    }
    refused(store.save_snapshot(epoch, &pid, "one more", AT).await, StoreErrorKind::Limit);
    save(&*store, epoch, &pid, "1").await;
    store.delete_snapshot(epoch, &pid, "2").await.unwrap();
    save(&*store, epoch, &pid, "one more").await;
    assert_eq!(tags(&*store, &pid).await.len(), limits::SNAPSHOTS);
    refused(store.save_snapshot(epoch, &"unknown".into(), "tag", AT).await, StoreErrorKind::NotFound);
}

/// A restored process is as it was, but for its steps, which go on counting, its memos, and a row of its history.
pub async fn a_restored_process_is_as_it_was(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let waiting = Awaiting { resume: Some("a word".to_owned()), ..Awaiting::default() };
    let commit = Commit { awaiting: Some(waiting), paused: true, ..step(&pid, epoch, 1) };
    store.commit(commit).await.unwrap();
    let then = load(&*store, &pid).await;
    save(&*store, epoch, &pid, "tag").await;
    store.commit(Commit { awaiting: Some(Awaiting::default()), ..step(&pid, epoch, 7) }).await.unwrap();
    store.put_memo(&pid, epoch, 7, "effect", "1".to_owned()).await.unwrap();
    let restored = store.restore(epoch, &pid, "tag", LATER).await.unwrap();
    let expected = Record { steps: 8, updated_at: LATER, ..then };
    assert_eq!(restored, expected);
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(load(&*store, &pid).await, expected);
    assert_eq!(store.memo(&pid, 7, "effect").await.unwrap(), None);
    let history = store.history(&pid).await.unwrap();
    let (from, to, point) = (ProcessState::Running, ProcessState::Running, "restored from `tag`".to_owned());
    assert_eq!(history.last(), Some(&HistoryEntry { at: LATER, from, to, steps: 8, point }));
    assert_eq!(history.len(), 3);
    // And once more, from the same.
    store.commit(step(&pid, epoch, 9)).await.unwrap();
    let again = store.restore(epoch, &pid, "tag", LATER).await.unwrap();
    assert_eq!(again, Record { steps: 10, ..expected });
}

/// A restore takes a process back that has ended or was put aside: it is unfinished again.
pub async fn a_restore_takes_back_an_end_and_a_parking(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let ended = launch(&*store, epoch, process("ended")).await;
    let parked = launch(&*store, epoch, process("parked")).await;
    save(&*store, epoch, &ended, "tag").await;
    end(&*store, epoch, &ended).await;
    store.park(epoch, &parked, "why".to_owned()).await.unwrap();
    save(&*store, epoch, &parked, "tag").await;
    assert_eq!(store.load_snapshot(&parked, "tag").await.unwrap().unwrap().parked, None, "the copy was not put aside");
    for pid in [&ended, &parked] {
        store.restore(epoch, pid, "tag", LATER).await.unwrap();
    }
    let (store, epoch) = subject.reopen(store).await;
    let unfinished = store.unfinished(None, 10).await.unwrap().records;
    assert_eq!(unfinished.iter().map(|record| &record.pid).collect::<Vec<_>>(), [&ended, &parked]);
    assert!(unfinished.iter().all(|record| record.ended.is_none() && record.parked.is_none()));
    assert_eq!(store.termination(&ended).await.unwrap(), None);
    end(&*store, epoch, &ended).await;
    refused(store.commit(ending(&ended, epoch)).await, StoreErrorKind::Ended);
}

/// Of the children that the snapshot waits for, those are open that have not ended; none is created or changed.
pub async fn a_restored_process_waits_for_the_children_that_have_not_ended(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let children = ["a", "b", "c"].map(ProcessId::from);
    let awaited = |pid: &ProcessId| AwaitedChild { pid: pid.clone(), allow_failure: false };
    let awaiting = Awaiting { children: children.iter().map(awaited).collect(), ..Awaiting::default() };
    let new = children.iter().map(|pid| child(pid.clone(), &parent, true)).collect();
    let waiting = Commit { awaiting: Some(awaiting.clone()), children: new, ..step(&parent, epoch, 1) };
    store.commit(waiting).await.unwrap();
    save(&*store, epoch, &parent, "tag").await;
    end(&*store, epoch, &children[0]).await;
    store.commit(Commit { awaiting: Some(Awaiting::default()), ..step(&parent, epoch, 2) }).await.unwrap();
    let restored = store.restore(epoch, &parent, "tag", LATER).await.unwrap();
    assert_eq!((restored.awaiting, restored.open_children), (awaiting, 2));
    assert_eq!(store.children(&parent).await.unwrap(), children);
    assert_eq!(end(&*store, epoch, &children[1]).await.ready_parent, None);
    assert_eq!(end(&*store, epoch, &children[2]).await.ready_parent, Some(parent));
}

/// A process that ended, and ends again after a restore, is no news to its parent.
pub async fn a_parent_is_not_told_of_a_second_end(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let one = launch(&*store, epoch, child("one", &parent, true)).await;
    launch(&*store, epoch, child("two", &parent, true)).await;
    save(&*store, epoch, &one, "tag").await;
    end(&*store, epoch, &one).await;
    assert_eq!(load(&*store, &parent).await.open_children, 1);
    store.restore(epoch, &one, "tag", LATER).await.unwrap();
    assert_eq!(load(&*store, &parent).await.open_children, 1);
    assert_eq!(end(&*store, epoch, &one).await.ready_parent, None);
    assert_eq!(load(&*store, &parent).await.open_children, 1);
}

/// What was asked of a process that has ended is not asked of the one that it is brought back to; the rest stays.
pub async fn a_restored_process_is_not_asked_what_came_after_its_end(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let ended = launch(&*store, epoch, process("ended")).await;
    let parked = launch(&*store, epoch, process("parked")).await;
    store.park(epoch, &parked, "why".to_owned()).await.unwrap();
    for pid in [&ended, &parked] {
        save(&*store, epoch, pid, "tag").await;
    }
    end(&*store, epoch, &ended).await;
    let (mut kept, mut all) = (Vec::new(), Vec::new());
    for pid in [&ended, &parked, &"other".into(), &ended] {
        let id = store.request(pid, Request::Play).await.unwrap();
        all.push(id);
        kept.extend((*pid != ended).then_some(id));
    }
    let found = async |store: &dyn Store| -> Vec<_> {
        store.requests(None).await.unwrap().into_iter().map(|row| row.id).collect()
    };
    refused(store.restore(epoch, &ended, "none", LATER).await, StoreErrorKind::NoSnapshot);
    assert_eq!(found(&*store).await, all, "what is refused changes nothing");
    for pid in [&ended, &parked] {
        store.restore(epoch, pid, "tag", LATER).await.unwrap();
    }
    assert_eq!(found(&*store).await, kept);
    let (store, _) = subject.reopen(store).await;
    assert_eq!(found(&*store).await, kept);
    let next = store.request(&ended, Request::Play).await.unwrap();
    assert_eq!(store.requests(kept.last().copied()).await.unwrap()[0].id, next);
}

/// The end of a child is not taken back while its parent has yet to look at it.
pub async fn an_end_that_a_parent_waits_with_is_not_taken_back(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let children = ["one", "two"].map(ProcessId::from);
    let awaited = |pid: &ProcessId| AwaitedChild { pid: pid.clone(), allow_failure: false };
    let awaiting = Awaiting { children: children.iter().map(awaited).collect(), ..Awaiting::default() };
    let new = children.iter().map(|pid| child(pid.clone(), &parent, true)).collect();
    let waiting = Commit { awaiting: Some(awaiting), children: new, ..step(&parent, epoch, 1) };
    store.commit(waiting).await.unwrap();
    let [one, two] = &children;
    for pid in &children {
        save(&*store, epoch, pid, "tag").await;
    }
    store.park(epoch, two, "why".to_owned()).await.unwrap();
    store.restore(epoch, two, "tag", LATER).await.unwrap();
    end(&*store, epoch, one).await;
    let before = load(&*store, one).await;
    refused(store.restore(epoch, one, "tag", LATER).await, StoreErrorKind::Unfinished);
    assert_eq!(load(&*store, one).await, before);
    assert_eq!(end(&*store, epoch, two).await.ready_parent, Some(parent.clone()));
    refused(store.restore(epoch, two, "tag", LATER).await, StoreErrorKind::Unfinished);
    // It has looked.
    store.commit(Commit { awaiting: Some(Awaiting::default()), ..step(&parent, epoch, 2) }).await.unwrap();
    store.restore(epoch, one, "tag", LATER).await.unwrap();
    end(&*store, epoch, &parent).await;
    store.restore(epoch, two, "tag", LATER).await.unwrap();
}

/// What cannot be gone on with is refused, and changes nothing.
pub async fn what_cannot_be_restored_is_refused(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let lost = launch(&*store, epoch, child("lost", &pid, true)).await;
    let awaited = AwaitedChild { pid: lost.clone(), allow_failure: false };
    let awaiting = Some(Awaiting { children: vec![awaited], ..Awaiting::default() });
    store.commit(Commit { awaiting, ..step(&pid, epoch, 1) }).await.unwrap();
    save(&*store, epoch, &pid, "waits").await;
    end(&*store, epoch, &lost).await;
    end(&*store, epoch, &pid).await;
    save(&*store, epoch, &pid, "ended").await;
    assert!(store.delete(epoch, &lost).await.unwrap());
    let before = load(&*store, &pid).await;
    refused(store.restore(epoch, &pid, "wait", LATER).await, StoreErrorKind::NoSnapshot);
    refused(store.restore(epoch, &pid, "ended", LATER).await, StoreErrorKind::Ended);
    refused(store.restore(epoch, &pid, "waits", LATER).await, StoreErrorKind::NotFound);
    refused(store.restore(epoch, &"unknown".into(), "waits", LATER).await, StoreErrorKind::NotFound);
    assert_eq!(load(&*store, &pid).await, before);
}

/// Only the latest owner saves, restores and deletes.
pub async fn a_stale_snapshot_restore_or_deletion_is_refused(subject: Subject) {
    let (store, stale) = subject.own().await;
    let pid = launch(&*store, stale, process("one")).await;
    save(&*store, stale, &pid, "tag").await;
    end(&*store, stale, &pid).await;
    let before = load(&*store, &pid).await;
    store.acquire().await.unwrap();
    refused(store.save_snapshot(stale, &pid, "other", AT).await, StoreErrorKind::Stale);
    refused(store.delete_snapshot(stale, &pid, "tag").await, StoreErrorKind::Stale);
    refused(store.delete_snapshots(stale, &pid).await, StoreErrorKind::Stale);
    refused(store.restore(stale, &pid, "tag", LATER).await, StoreErrorKind::Stale);
    refused(store.delete(stale, &pid).await, StoreErrorKind::Stale);
    assert_eq!(load(&*store, &pid).await, before);
    assert_eq!(tags(&*store, &pid).await, ["tag"]);
}
