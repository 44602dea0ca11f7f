//! Sentence 6.

use tokio::task::JoinSet;

use super::{Subject, boundary, child, end, ending, launch, load, process};
use crate::process::{ProcessId, ProcessState};
use crate::store::{AwaitedChild, Awaiting, Commit, Epoch, NewProcess, Store};

fn awaiting(pids: &[&ProcessId]) -> Awaiting {
    let children = pids.iter().map(|&pid| AwaitedChild { pid: pid.clone(), allow_failure: false }).collect();
    Awaiting { children, ..Awaiting::default() }
}

/// A boundary that launches children and waits for those that are awaited.
fn launching(parent: &ProcessId, epoch: Epoch, children: Vec<NewProcess>) -> Commit {
    let awaited = children.iter().filter(|child| child.parent.as_ref().is_some_and(|parent| parent.awaited));
    let pids: Vec<&ProcessId> = awaited.map(|child| &child.pid).collect();
    Commit { awaiting: Some(awaiting(&pids)), children, ..boundary(parent, epoch, ProcessState::Waiting) }
}

async fn open(store: &dyn Store, pid: &ProcessId) -> u64 {
    load(store, pid).await.open_children
}

/// Children of a commit are there with it, in their order, and are listed by their parent.
pub async fn children_of_a_commit_are_there_with_it(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    launch(&*store, epoch, process("stranger")).await;
    let first = vec![child("b", &parent, true), child("a", &parent, false)];
    store.commit(launching(&parent, epoch, first)).await.unwrap();
    launch(&*store, epoch, child("c", &parent, false)).await;
    let (store, _) = subject.reopen(store).await;
    assert_eq!(store.children(&parent).await.unwrap(), ["b", "a", "c"].map(ProcessId::from));
    for pid in ["a", "b", "c"].map(ProcessId::from) {
        let record = load(&*store, &pid).await;
        assert_eq!((record.state, record.parent.as_ref()), (ProcessState::Created, Some(&parent)));
        assert_eq!(store.children(&pid).await.unwrap(), []);
    }
    assert_eq!(open(&*store, &parent).await, 1);
    let unfinished = store.unfinished(None, 10).await.unwrap().records;
    assert_eq!(unfinished.len(), 5);
}

/// The end of the last awaited child names the parent, the ends before it do not; also after opening again.
pub async fn the_last_awaited_child_that_ends_names_its_parent(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let children = ["a", "b", "c"].map(ProcessId::from);
    let launched = children.iter().map(|pid| child(pid.clone(), &parent, true)).collect();
    store.commit(launching(&parent, epoch, launched)).await.unwrap();
    assert_eq!(open(&*store, &parent).await, 3);
    assert_eq!(end(&*store, epoch, &children[1]).await.ready_parent, None);
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(open(&*store, &parent).await, 2);
    assert_eq!(end(&*store, epoch, &children[2]).await.ready_parent, None);
    assert_eq!(end(&*store, epoch, &children[0]).await.ready_parent, Some(parent.clone()));
    assert_eq!(open(&*store, &parent).await, 0);
    let record = load(&*store, &parent).await;
    assert_eq!((record.state, record.awaiting.children.len()), (ProcessState::Waiting, 3), "the parent itself stays");
}

/// Of children that end at once exactly one names the parent.
pub async fn children_that_end_at_once_name_their_parent_once(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let children: Vec<ProcessId> = (0..50_i64).map(ProcessId::from).collect();
    let launched = children.iter().map(|pid| child(pid.clone(), &parent, true)).collect();
    store.commit(launching(&parent, epoch, launched)).await.unwrap();
    let mut tasks = JoinSet::new();
    for pid in children {
        let store = subject.store();
        tasks.spawn(async move { end(&*store, epoch, &pid).await.ready_parent });
    }
    let named: Vec<ProcessId> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(named, std::slice::from_ref(&parent));
    assert_eq!(open(&*store, &parent).await, 0);
}

/// A child that is not awaited names nobody.
pub async fn a_detached_child_names_nobody(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let launched = vec![child("awaited", &parent, true), child("detached", &parent, false)];
    store.commit(launching(&parent, epoch, launched)).await.unwrap();
    assert_eq!(end(&*store, epoch, &"detached".into()).await.ready_parent, None);
    assert_eq!(open(&*store, &parent).await, 1);
    assert_eq!(end(&*store, epoch, &"awaited".into()).await.ready_parent, Some(parent));
}

/// A child that has ended before it is awaited, or that is none, is not open.
pub async fn a_child_that_has_ended_is_not_open(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let stranger = launch(&*store, epoch, process("stranger")).await;
    let early = launch(&*store, epoch, child("early", &parent, false)).await;
    let late = launch(&*store, epoch, child("late", &parent, false)).await;
    end(&*store, epoch, &early).await;
    let mut commit = boundary(&parent, epoch, ProcessState::Waiting);
    commit.awaiting = Some(awaiting(&[&early, &late, &"unknown".into(), &stranger, &late]));
    store.commit(commit).await.unwrap();
    assert_eq!(open(&*store, &parent).await, 1);
    assert_eq!(end(&*store, epoch, &stranger).await.ready_parent, None);
    assert_eq!(end(&*store, epoch, &late).await.ready_parent, Some(parent));
}

/// A wait that is over forgets its children; a new one counts again, from what is open then.
pub async fn a_wait_that_is_over_forgets_its_children(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let [one, two, three] = ["one", "two", "three"].map(ProcessId::from);
    let launched = [&one, &two, &three].map(|pid| child(pid.clone(), &parent, true));
    store.commit(launching(&parent, epoch, launched.to_vec())).await.unwrap();
    let over = Commit { awaiting: Some(Awaiting::default()), ..boundary(&parent, epoch, ProcessState::Running) };
    store.commit(over).await.unwrap();
    assert_eq!(open(&*store, &parent).await, 0);
    assert_eq!(end(&*store, epoch, &one).await.ready_parent, None);
    let (store, epoch) = subject.reopen(store).await;
    let mut again = boundary(&parent, epoch, ProcessState::Waiting);
    again.awaiting = Some(awaiting(&[&one, &two]));
    store.commit(again).await.unwrap();
    assert_eq!(open(&*store, &parent).await, 1);
    assert_eq!(end(&*store, epoch, &three).await.ready_parent, None);
    assert_eq!(end(&*store, epoch, &two).await.ready_parent, Some(parent));
}

/// A boundary that says nothing of the wait leaves it: the children stay open.
pub async fn a_boundary_within_a_wait_leaves_its_children_open(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    store.commit(launching(&parent, epoch, vec![child("one", &parent, true)])).await.unwrap();
    let paused = Commit { paused: true, ..boundary(&parent, epoch, ProcessState::Waiting) };
    store.commit(paused).await.unwrap();
    assert_eq!(open(&*store, &parent).await, 1);
    let more = vec![child("two", &parent, true)];
    store.commit(Commit { children: more, ..boundary(&parent, epoch, ProcessState::Waiting) }).await.unwrap();
    assert_eq!(open(&*store, &parent).await, 2, "what it creates as awaited is open too");
    assert_eq!(end(&*store, epoch, &"two".into()).await.ready_parent, None);
    assert_eq!(end(&*store, epoch, &"one".into()).await.ready_parent, Some(parent));
}

/// A parent that ends waits for nobody: its children live on and name nobody.
pub async fn a_parent_that_ends_waits_for_nobody(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    store.commit(launching(&parent, epoch, vec![child("one", &parent, true)])).await.unwrap();
    let last = Commit { children: vec![child("two", &parent, true)], ..ending(&parent, epoch) };
    store.commit(Commit { awaiting: Some(awaiting(&[&"two".into()])), ..last }).await.unwrap();
    assert_eq!(open(&*store, &parent).await, 0);
    assert_eq!(store.children(&parent).await.unwrap().len(), 2);
    for pid in ["one", "two"].map(ProcessId::from) {
        assert_eq!(load(&*store, &pid).await.state, ProcessState::Created);
        assert_eq!(end(&*store, epoch, &pid).await.ready_parent, None);
    }
}

/// A child that the commit repeats is not created again, and is awaited all the same.
pub async fn a_repeated_child_is_not_created_again(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let one = launch(&*store, epoch, child("one", &parent, false)).await;
    let step = Commit { steps: 3, ..boundary(&one, epoch, ProcessState::Running) };
    store.commit(step).await.unwrap();
    let ended = launch(&*store, epoch, child("ended", &parent, false)).await;
    end(&*store, epoch, &ended).await;
    let repeated = vec![child("one", &parent, true), child("ended", &parent, true)];
    store.commit(launching(&parent, epoch, repeated)).await.unwrap();
    assert_eq!(load(&*store, &one).await.steps, 3);
    assert_eq!(store.children(&parent).await.unwrap(), [one.clone(), ended]);
    assert_eq!(open(&*store, &parent).await, 1);
    assert_eq!(end(&*store, epoch, &one).await.ready_parent, Some(parent));
}

/// What is not created takes no key: a child after it has it.
pub async fn a_repeated_child_leaves_its_key_to_another(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    launch(&*store, epoch, child("one", &parent, false)).await;
    let keyed = |pid| NewProcess { key: Some("key".to_owned()), ..child(pid, &parent, false) };
    store.commit(launching(&parent, epoch, vec![keyed("one"), keyed("two"), keyed("three")])).await.unwrap();
    assert_eq!(store.find("key").await.unwrap(), Some("two".into()));
    assert_eq!(store.children(&parent).await.unwrap(), ["one".into(), "two".into()]);
}

/// An awaited child that is created on its own is open as well.
pub async fn an_awaited_child_that_is_created_alone_is_open(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let one = launch(&*store, epoch, child("one", &parent, true)).await;
    assert_eq!(open(&*store, &parent).await, 1);
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(end(&*store, epoch, &one).await.ready_parent, Some(parent.clone()));
    end(&*store, epoch, &parent).await;
    let late = launch(&*store, epoch, child("late", &parent, true)).await;
    assert_eq!(open(&*store, &parent).await, 0, "a parent that has ended awaits nobody");
    assert_eq!(end(&*store, epoch, &late).await.ready_parent, None);
}
