//! Sentences 24 to 26, where a store has one owner.

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{AT, Subject, boundary, child, end, ending, launch, load, process, refused};
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{
    AwaitedChild, Awaiting, Commit, Creation, Epoch, Mended, Message, NewProcess, OwedReply, Store, StoreErrorKind,
    Unsent,
};

/// A message whose id tells its body.
pub(super) fn message(body: &str) -> Message {
    Message { id: Uuid::now_v7(), body: body.to_owned() }
}

pub(super) fn saying(pid: &str, bodies: &[&str]) -> NewProcess {
    NewProcess { messages: bodies.iter().map(|body| message(body)).collect(), ..process(pid) }
}

pub(super) fn telling(pid: &ProcessId, epoch: Epoch, bodies: &[&str]) -> Commit {
    let messages = bodies.iter().map(|body| message(body)).collect();
    Commit { messages, ..boundary(pid, epoch, ProcessState::Running) }
}

/// What is taken over, as texts.
pub(super) fn said(unsent: &Unsent) -> Vec<(String, String)> {
    unsent.messages.iter().map(|(pid, message)| (pid.to_string(), message.body.clone())).collect()
}

pub(super) fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.into_iter().map(|(pid, body)| (pid.to_owned(), body.to_owned())).collect()
}

pub(super) async fn sent(store: &dyn Store, epoch: Epoch, unsent: &Unsent) {
    store.sent(epoch, unsent.messages.iter().map(|(_, message)| message.id).collect()).await.unwrap();
}

/// In the order in which they were written, those of children before those of the boundary that creates them or after.
pub async fn messages_are_kept_with_what_they_belong_to(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let one = launch(&*store, epoch, saying("one", &["created", "began"])).await;
    let two = launch(&*store, epoch, process("two")).await;
    store.commit(telling(&one, epoch, &["step 1"])).await.unwrap();
    store.commit(telling(&two, epoch, &["step 1", "aside"])).await.unwrap();
    store.commit(telling(&one, epoch, &["step 2"])).await.unwrap();
    store.commit(Commit { messages: vec![message("end")], ..ending(&two, epoch) }).await.unwrap();
    store.commit(boundary(&one, epoch, ProcessState::Running)).await.unwrap();
    assert_eq!(store.unsent(epoch, 100).await.unwrap(), Unsent::default(), "their sender is at work");
    let (store, epoch) = subject.reopen(store).await;
    let all = store.unsent(epoch, 100).await.unwrap();
    let expected = pairs([
        ("one", "created"),
        ("one", "began"),
        ("one", "step 1"),
        ("two", "step 1"),
        ("two", "aside"),
        ("one", "step 2"),
        ("two", "end"),
    ]);
    assert_eq!(said(&all), expected);
    let [(_, first), .., (_, last)] = &all.messages[..] else { panic!("there are some") };
    store.sent(epoch, vec![first.id, Uuid::now_v7(), last.id]).await.unwrap();
    store.sent(epoch, Vec::new()).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(said(&store.unsent(epoch, 100).await.unwrap()), expected[1..6]);
}

/// Those of a child are written with the boundary that creates it.
pub async fn messages_of_children_are_kept_with_their_boundary(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let born = |pid: &str, body| NewProcess { messages: vec![message(body)], ..child(pid, &parent, true) };
    let children = vec![born("a", "a is there"), born("b", "b is there")];
    store.commit(Commit { children, ..telling(&parent, epoch, &["waits"]) }).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    let mut found = said(&store.unsent(epoch, 100).await.unwrap());
    found.sort_unstable();
    assert_eq!(found, pairs([("a", "a is there"), ("b", "b is there"), ("parent", "waits")]));
}

/// A creation that finds its process says nothing, nor does a child that is there.
pub async fn a_creation_that_finds_its_process_has_no_messages(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let keyed = |new| NewProcess { key: Some("key".to_owned()), ..new };
    let one = launch(&*store, epoch, keyed(process("one"))).await;
    for new in [saying("one", &["again"]), keyed(saying("two", &["other"]))] {
        assert!(matches!(store.create(epoch, new).await.unwrap(), Creation::Exists { .. }));
    }
    let known = NewProcess { messages: vec![message("child")], ..child("child", &one, false) };
    launch(&*store, epoch, child("child", &one, false)).await;
    store.commit(Commit { children: vec![known], ..telling(&one, epoch, &["parent"]) }).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(said(&store.unsent(epoch, 100).await.unwrap()), pairs([("one", "parent")]));
}

/// What is refused says nothing.
pub async fn a_refused_boundary_has_no_messages(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let one = launch(&*store, epoch, process("one")).await;
    let over = launch(&*store, epoch, process("over")).await;
    end(&*store, epoch, &over).await;
    let other = Epoch(epoch.0 + 1);
    refused(store.commit(telling(&one, other, &["stale"])).await, StoreErrorKind::Stale);
    refused(store.create(other, saying("new", &["stale"])).await, StoreErrorKind::Stale);
    refused(store.commit(telling(&over, epoch, &["ended"])).await, StoreErrorKind::Ended);
    refused(store.commit(telling(&"none".into(), epoch, &["none"])).await, StoreErrorKind::NotFound);
    let orphan = NewProcess { messages: vec![message("orphan")], ..child("orphan", &"none".into(), true) };
    refused(store.create(epoch, orphan).await, StoreErrorKind::NotFound);
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(store.unsent(epoch, 100).await.unwrap(), Unsent::default());
}

/// The same id is the same message, whatever it says and whoever says it.
pub async fn the_same_message_again_is_kept_once(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let [one, two] = [launch(&*store, epoch, process("one")).await, launch(&*store, epoch, process("two")).await];
    let first = telling(&one, epoch, &["first"]);
    let again = vec![Message { body: "again".to_owned(), ..first.messages[0].clone() }];
    store.commit(first).await.unwrap();
    store.commit(Commit { messages: again.clone(), ..boundary(&one, epoch, ProcessState::Running) }).await.unwrap();
    store.commit(Commit { messages: again, ..boundary(&two, epoch, ProcessState::Running) }).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(said(&store.unsent(epoch, 100).await.unwrap()), pairs([("one", "first")]));
}

/// Whatever becomes of a process, what it said is sent.
pub async fn messages_outlive_their_process(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let one = launch(&*store, epoch, saying("one", &["created"])).await;
    store.save_snapshot(epoch, &one, "tag", AT).await.unwrap();
    store.commit(telling(&one, epoch, &["step"])).await.unwrap();
    store.park(epoch, &one, "why".to_owned()).await.unwrap();
    store.restore(epoch, &one, "tag", AT).await.unwrap();
    store.commit(Commit { messages: vec![message("end")], ..ending(&one, epoch) }).await.unwrap();
    assert!(store.delete(epoch, &one).await.unwrap());
    let (store, epoch) = subject.reopen(store).await;
    let all = pairs([("one", "created"), ("one", "step"), ("one", "end")]);
    assert_eq!(said(&store.unsent(epoch, 100).await.unwrap()), all);
}

/// Boundaries of many processes at once keep all of theirs, in the order of each.
pub async fn messages_of_many_processes_at_once_are_all_kept(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let store = subject.store();
        tasks.spawn(async move {
            let pid = launch(&*store, epoch, saying(&format!("{number:02}"), &["0"])).await;
            for step in 1..10 {
                store.commit(telling(&pid, epoch, &[&step.to_string()])).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let (store, epoch) = subject.reopen(store).await;
    let mut all = said(&store.unsent(epoch, 1_000).await.unwrap());
    // Stable: each keeps its order.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let expected = (0..20).flat_map(|pid| (0..10).map(move |step| (format!("{pid:02}"), step.to_string())));
    let expected: Vec<_> = expected.collect();
    assert_eq!(all, expected);
}

/// There is a bound to the size of a message, and to how many a boundary has.
pub async fn messages_are_bounded(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let large = "x".repeat(limits::MESSAGE_BYTES);
    let larger = format!("{large}x");
    let many = vec!["x"; limits::MESSAGES + 1];
    for bodies in [&[larger.as_str()][..], &many] {
        refused(store.create(epoch, saying("two", bodies)).await, StoreErrorKind::Limit);
        refused(store.commit(telling(&pid, epoch, bodies)).await, StoreErrorKind::Limit);
        let messages = bodies.iter().map(|body| message(body)).collect();
        let children = vec![NewProcess { messages, ..child("child", &pid, true) }];
        let commit = Commit { children, ..boundary(&pid, epoch, ProcessState::Running) };
        refused(store.commit(commit).await, StoreErrorKind::Limit);
    }
    assert_eq!(store.load(&"two".into()).await.unwrap(), None);
    store.commit(telling(&pid, epoch, &[&large])).await.unwrap();
    store.commit(telling(&pid, epoch, &many[1..])).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    let all = store.unsent(epoch, 1_000).await.unwrap();
    assert_eq!((all.messages.len(), &all.messages[0].1.body), (limits::MESSAGES + 1, &large));
}

/// Bodies and processes of every form.
pub async fn odd_messages_are_kept(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let odd = ["", " ", "a/b", "a\0b", "{\"a\": 1.50}", "'; DROP TABLE message; --", "日本語", "👩‍🚀", "[", "A", "a"];
    for text in odd {
        launch(&*store, epoch, saying(text, &[text])).await;
    }
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(said(&store.unsent(epoch, 100).await.unwrap()), odd.map(|text| (text.to_owned(), text.to_owned())));
}

/// Who acquires a store takes over all that was to be sent, as many at a time as wanted, and each once.
pub async fn what_another_owner_had_to_send_is_taken_over_once(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    for number in 0..5 {
        let owes = Some(OwedReply { id: "task".to_owned(), address: number.to_string() });
        let pid = number.to_string();
        launch(&*store, epoch, NewProcess { owes, ..saying(&pid, &[&pid]) }).await;
    }
    let (store, epoch) = subject.reopen(store).await;
    store.commit(telling(&"0".into(), epoch, &["own"])).await.unwrap();
    store.owe(epoch, &"0".into(), OwedReply { id: "task".to_owned(), address: "own".to_owned() }).await.unwrap();
    let (mut messages, mut replies) = (Vec::new(), Vec::new());
    for expected in [(2, 2), (2, 2), (1, 0), (0, 0)] {
        let unsent = store.unsent(epoch, 2).await.unwrap();
        assert_eq!((unsent.messages.len(), unsent.replies.len()), expected);
        messages.extend(said(&unsent));
        replies.extend(unsent.replies.into_iter().map(|(pid, reply)| (pid.to_string(), reply.id, reply.address)));
    }
    assert_eq!(messages, pairs([("0", "0"), ("1", "1"), ("2", "2"), ("3", "3"), ("4", "4")]));
    replies.sort_unstable();
    let owed = |number: &str| (number.to_owned(), "task".to_owned(), number.to_owned());
    assert_eq!(replies, ["1", "2", "3", "4"].map(owed));
    let later = store.acquire().await.unwrap();
    let all = store.unsent(later, 100).await.unwrap();
    assert_eq!((all.messages.len(), all.replies.len()), (6, 5), "what nobody has sent is there");
    assert_eq!(all.messages[5].1.body, "own");
    sent(&*store, later, &all).await;
    assert_eq!(store.unsent(store.acquire().await.unwrap(), 100).await.unwrap().messages, []);
}

/// Nothing is taken over, forgotten or put right under another epoch.
pub async fn a_stale_sender_takes_over_and_forgets_nothing(subject: Subject) {
    let (store, first) = subject.own().await;
    let saying = saying("one", &["created"]);
    let id = saying.messages[0].id;
    launch(&*store, first, saying).await;
    let epoch = store.acquire().await.unwrap();
    for stale in [first, Epoch(0), Epoch(epoch.0 + 1)] {
        refused(store.unsent(stale, 10).await, StoreErrorKind::Stale);
        refused(store.sent(stale, vec![id]).await, StoreErrorKind::Stale);
        refused(store.mend(stale).await, StoreErrorKind::Stale);
    }
    assert_eq!(said(&store.unsent(epoch, 10).await.unwrap()), pairs([("one", "created")]));
    store.release(epoch).await.unwrap();
    refused(store.unsent(epoch, 10).await, StoreErrorKind::Stale);
    refused(store.sent(epoch, vec![id]).await, StoreErrorKind::Stale);
    refused(store.mend(epoch).await, StoreErrorKind::Stale);
}

/// Where all is right nothing changes. What is wrong cannot be made by calls: each store has tests of its own for it.
pub async fn mending_what_is_right_changes_nothing(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let pids = ["a", "b", "c"];
    let children: Vec<_> = pids.map(|pid| child(pid, &parent, true)).into();
    let awaited = pids.map(|pid| AwaitedChild { pid: pid.into(), allow_failure: false });
    let awaiting = Awaiting { children: awaited.into(), ..Awaiting::default() };
    let waits = boundary(&parent, epoch, ProcessState::Waiting);
    store.commit(Commit { children, awaiting: Some(awaiting), ..waits }).await.unwrap();
    end(&*store, epoch, &"a".into()).await;
    store.park(epoch, &"b".into(), "why".to_owned()).await.unwrap();
    let before = load(&*store, &parent).await;
    assert_eq!(store.mend(epoch).await.unwrap(), Mended::default());
    assert_eq!((before.open_children, load(&*store, &parent).await), (2, before));
}
