//! Sentences 16 and 17.

use tokio::task::JoinSet;

use super::{AT, Subject, boundary, child, end, ending, launch, process, refused};
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{Commit, Creation, Epoch, NewProcess, OwedReply, Store, StoreErrorKind};

fn reply(id: &str, address: &str) -> OwedReply {
    OwedReply { id: id.to_owned(), address: address.to_owned() }
}

fn owing(pid: &str, reply: OwedReply) -> NewProcess {
    NewProcess { owes: Some(reply), ..process(pid) }
}

/// All that is owed, read in pages of every size.
async fn owed(store: &dyn Store) -> Vec<(ProcessId, OwedReply)> {
    let all = store.owed(None, 10_000).await.unwrap();
    for most in [0, 1, 3] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.owed(after, most).await.unwrap();
            assert!(page.len() <= most.max(1));
            let Some((pid, last)) = page.last() else { break };
            after = Some((pid.clone(), last.id.clone()));
            found.extend(page);
        }
        assert_eq!(found, all, "in pages of {most}");
    }
    all
}

fn pair(pid: &str, id: &str, address: &str) -> (ProcessId, OwedReply) {
    (pid.into(), reply(id, address))
}

/// Owed replies are kept, in the order of ids as texts, until they are settled.
pub async fn a_reply_is_owed_until_it_is_settled(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    assert_eq!(owed(&*store).await, []);
    for pid in ["one", "on", "two"] {
        launch(&*store, epoch, process(pid)).await;
    }
    for (pid, id) in [("two", "a"), ("one", "b"), ("one", "a"), ("on", "z")] {
        store.owe(epoch, &pid.into(), reply(id, "there")).await.unwrap();
    }
    let (store, epoch) = subject.reopen(store).await;
    let all = [("on", "z"), ("one", "a"), ("one", "b"), ("two", "a")].map(|(pid, id)| pair(pid, id, "there"));
    assert_eq!(owed(&*store).await, all);
    let gone = Some(("one".into(), "aa".to_owned()));
    assert_eq!(store.owed(gone, 10).await.unwrap(), all[2..], "after one that is not there");
    let settled = [("one", "a"), ("two", "a"), ("one", "never"), ("nobody", "a")];
    store.settle(epoch, settled.map(|(pid, id)| (pid.into(), id.to_owned())).into()).await.unwrap();
    store.settle(epoch, Vec::new()).await.unwrap();
    let (store, _) = subject.reopen(store).await;
    assert_eq!(owed(&*store).await, [all[0].clone(), all[2].clone()]);
}

/// The same id again is the same reply, to the latest address.
pub async fn a_reply_that_is_owed_again_goes_to_the_latest_address(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, owing("one", reply("task", "first"))).await;
    for address in ["second", "second", "third"] {
        store.owe(epoch, &pid, reply("task", address)).await.unwrap();
        assert_eq!(owed(&*store).await, [pair("one", "task", address)]);
    }
    store.owe(epoch, &pid, reply("Task", "other")).await.unwrap();
    let (store, _) = subject.reopen(store).await;
    assert_eq!(owed(&*store).await, [pair("one", "Task", "other"), pair("one", "task", "third")]);
}

/// A process that is created with an owed reply owes it from the start.
pub async fn a_creation_brings_an_owed_reply(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    launch(&*store, epoch, owing("one", reply("task", "there"))).await;
    launch(&*store, epoch, process("two")).await;
    let orphan = NewProcess { owes: Some(reply("task", "there")), ..child("x", &"nobody".into(), true) };
    refused(store.create(epoch, orphan).await, StoreErrorKind::NotFound);
    let (store, _) = subject.reopen(store).await;
    assert_eq!(owed(&*store).await, [pair("one", "task", "there")], "a refused creation leaves nothing");
}

/// Where a creation finds the key or the id known, the process that has it owes the reply.
pub async fn a_known_process_owes_what_a_creation_brings(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let keyed = |new| NewProcess { key: Some("key".to_owned()), ..new };
    launch(&*store, epoch, keyed(process("one"))).await;
    end(&*store, epoch, &"one".into()).await;
    for (new, id) in [(keyed(owing("two", reply("a", "there"))), "a"), (owing("one", reply("b", "there")), "b")] {
        let known = store.create(epoch, new).await.unwrap();
        assert!(matches!(known, Creation::Exists { pid, .. } if pid == "one".into()), "{id}");
    }
    let mut other = owing("one", reply("c", "there"));
    "suite::Other".clone_into(&mut other.envelope.process);
    let Creation::Exists { pid, process } = store.create(epoch, other).await.unwrap() else { panic!("it is known") };
    assert_eq!((&pid, process.as_str()), (&"one".into(), "suite::Relax"));
    let both = [pair("one", "a", "there"), pair("one", "b", "there")];
    assert_eq!(owed(&*store).await[..2], both);
    store.settle(epoch, vec![(pid, "c".to_owned())]).await.unwrap();
    let (store, _) = subject.reopen(store).await;
    assert_eq!(owed(&*store).await, both);
    assert_eq!(store.load(&"two".into()).await.unwrap(), None);
}

/// A process that does not exist owes nothing, and no child does.
pub async fn only_a_process_of_its_own_owes(subject: Subject) {
    let (store, epoch) = subject.own().await;
    refused(store.owe(epoch, &"one".into(), reply("task", "there")).await, StoreErrorKind::NotFound);
    let pid = launch(&*store, epoch, process("one")).await;
    let children = vec![NewProcess { owes: Some(reply("task", "there")), ..child("child", &pid, true) }];
    let commit = Commit { children, ..boundary(&pid, epoch, ProcessState::Running) };
    refused(store.commit(commit).await, StoreErrorKind::Other);
    assert_eq!(store.load(&"child".into()).await.unwrap(), None);
    assert_eq!(owed(&*store).await, []);
}

/// Whatever becomes of a process, it owes what it owed; also after its end. Its deletion ends that.
pub async fn an_owed_reply_outlives_all_but_a_deletion(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, owing("one", reply("a", "there"))).await;
    launch(&*store, epoch, owing("other", reply("a", "there"))).await;
    store.save_snapshot(epoch, &pid, "tag", AT).await.unwrap();
    store.commit(Commit { forget_memos: true, ..boundary(&pid, epoch, ProcessState::Waiting) }).await.unwrap();
    store.park(epoch, &pid, "why".to_owned()).await.unwrap();
    store.commit(ending(&pid, epoch)).await.unwrap();
    store.restore(epoch, &pid, "tag", AT).await.unwrap();
    end(&*store, epoch, &pid).await;
    store.owe(epoch, &pid, reply("b", "there")).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    let all = [pair("one", "a", "there"), pair("one", "b", "there"), pair("other", "a", "there")];
    assert_eq!(owed(&*store).await, all);
    assert!(store.delete(epoch, &pid).await.unwrap());
    launch(&*store, epoch, process("one")).await;
    let (store, _) = subject.reopen(store).await;
    assert_eq!(owed(&*store).await, all[2..]);
}

/// Under another epoch nothing is owed or settled.
pub async fn a_stale_owing_or_settling_is_refused(subject: Subject) {
    let (store, first) = subject.own().await;
    let pid = launch(&*store, first, owing("one", reply("task", "there"))).await;
    let epoch = store.acquire().await.unwrap();
    for other in [first, Epoch(0), Epoch(epoch.0 + 1)] {
        refused(store.owe(other, &pid, reply("task", "stale")).await, StoreErrorKind::Stale);
        refused(store.create(other, owing("one", reply("task", "stale"))).await, StoreErrorKind::Stale);
        refused(store.settle(other, vec![(pid.clone(), "task".to_owned())]).await, StoreErrorKind::Stale);
    }
    store.release(epoch).await.unwrap();
    refused(store.settle(epoch, vec![(pid, "task".to_owned())]).await, StoreErrorKind::Stale);
    assert_eq!(owed(&*store).await, [pair("one", "task", "there")]);
}

/// There is a bound to what one process owes, and to the size of each.
pub async fn owed_replies_are_bounded(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let large = reply("task", &"x".repeat(limits::OWED_BYTES));
    refused(store.create(epoch, owing("one", large.clone())).await, StoreErrorKind::Limit);
    assert_eq!(store.load(&"one".into()).await.unwrap(), None);
    let pid = launch(&*store, epoch, process("one")).await;
    refused(store.owe(epoch, &pid, large).await, StoreErrorKind::Limit);
    let mut tasks = JoinSet::new();
    for number in 0..limits::OWED {
        let (store, pid) = (subject.store(), pid.clone());
        tasks.spawn(async move { store.owe(epoch, &pid, reply(&format!("{number:04}"), "there")).await.unwrap() });
    }
    tasks.join_all().await;
    refused(store.owe(epoch, &pid, reply("more", "there")).await, StoreErrorKind::Limit);
    refused(store.create(epoch, owing("one", reply("more", "there"))).await, StoreErrorKind::Limit);
    store.owe(epoch, &pid, reply("0000", "elsewhere")).await.unwrap();
    launch(&*store, epoch, owing("other", reply("more", "there"))).await;
    let all = store.owed(None, 10_000).await.unwrap();
    assert_eq!((all.len(), &all[0]), (limits::OWED + 1, &pair("one", "0000", "elsewhere")));
}

/// Ids and addresses of every script, form and length are kept, and none is taken for another.
pub async fn odd_owed_replies_are_kept(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let long = "x".repeat(3_000);
    let odd = ["", " ", ".", "a/b", "a@b", "A", "a", "'; DROP TABLE owed; --", "a\0b", "日本語", "👩‍🚀", "%", &long];
    for pid in odd {
        launch(&*store, epoch, process(pid)).await;
        for text in odd {
            store.owe(epoch, &pid.into(), reply(text, text)).await.unwrap();
        }
    }
    let (store, epoch) = subject.reopen(store).await;
    let mut expected: Vec<_> = odd.iter().flat_map(|pid| odd.map(|text| pair(pid, text, text))).collect();
    expected.sort_by_key(|(pid, reply)| (pid.to_string(), reply.id.clone()));
    assert_eq!(owed(&*store).await, expected);
    for (pid, reply) in expected.split_off(3) {
        store.settle(epoch, vec![(pid, reply.id)]).await.unwrap();
    }
    assert_eq!(owed(&*store).await, expected);
}
