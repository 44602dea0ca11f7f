//! Sentence 20.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::{AT, Subject, boundary, child, end, launch, load, process};
use super::{SOON, claim, create, for_a_resume, join, now, placed, unowned, waiting, worker};
use crate::process::{ProcessId, ProcessState, Request};
use crate::store::{AwaitedChild, Awaiting, Commit, Epoch, NewProcess, Parent, Placement, Store};

/// A time that has not come while a property runs.
const LATER: Duration = Duration::from_secs(3_600);

async fn race(store: Arc<dyn Store>, epoch: Epoch, most: usize) -> Vec<ProcessId> {
    let mut won = Vec::new();
    loop {
        let claimed = store.claim(epoch, most, crate::limits::ATTEMPTS).await.unwrap();
        assert!(claimed.records.len() <= most, "no more than asked for");
        if claimed.records.is_empty() {
            return won;
        }
        won.extend(claimed.records.into_iter().map(|record| record.pid));
        tokio::task::yield_now().await;
    }
}

/// Two workers race for a thousand processes: each is claimed once, and none is left.
pub async fn what_is_raced_for_is_claimed_once(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    create(&*first, one, (0..1_000_i64).map(unowned)).await;
    let races = [(&first, one, 7), (&second, other, 11), (&first, one, 1), (&second, other, 30)];
    let races = races.map(|(store, epoch, most)| tokio::spawn(race(Arc::clone(store), epoch, most)));
    let mut won = Vec::new();
    for race in races {
        won.extend(race.await.unwrap());
    }
    assert_eq!((won.len(), won.iter().collect::<HashSet<_>>().len()), (1_000, 1_000));
    // A race ends where others hold what is left; they have it by now.
    assert_eq!(claim(&*first, one).await.len() + claim(&*second, other).await.len(), 0);
    let rows = first.workers().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.owned).sum::<u64>(), 1_000);
}

/// Those of greater priority first, then the older ones; each as it is loaded, and no more than asked for.
pub async fn claims_go_by_priority_and_then_by_age(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let priorities = [("a", 0), ("b", -3), ("c", 7), ("d", 0), ("e", i32::MAX), ("f", 7), ("g", i32::MIN)];
    for (pid, priority) in priorities {
        create(&*first, one, [placed(pid, "", priority)]).await;
    }
    let mut order = Vec::new();
    for most in [0, 1, 2, 3, 100] {
        let claimed = second.claim(other, most, crate::limits::ATTEMPTS).await.unwrap();
        assert!(claimed.records.len() <= most);
        for record in claimed.records {
            assert_eq!(record, load(&*first, &record.pid).await);
            order.push(record.pid.to_string());
        }
    }
    assert_eq!(order, ["e", "c", "f", "a", "d", "b", "g"]);
}

/// A worker claims from its queues, whatever they are called, and from no other.
pub async fn claims_are_from_the_queues_that_were_named(subject: Subject) {
    let store = subject.store();
    let odd = ["", " ", "gpu", "GPU", "'; --", "{a,b}", "日本語", "%"];
    let creator = join(&*store).await;
    create(&*store, creator, odd.map(|queue| placed(format!("in {queue}"), queue, 0))).await;
    for queues in [vec![], vec!["gpu", "none"], vec!["GPU"], vec!["{a,b}", "", "'; --"], odd.to_vec()] {
        let epoch = store.join(worker(&queues), super::LONG).await.unwrap();
        let claimed = claim(&*store, epoch).await;
        let expected = odd.iter().filter(|queue| queues.contains(queue)).map(|queue| format!("in {queue}"));
        assert_eq!(claimed, expected.collect::<Vec<_>>(), "{queues:?}");
        store.release(epoch).await.unwrap();
    }
}

/// Whatever it says itself, also after its worker has gone; and it is its parent's worker's, unless it is nobody's.
pub async fn a_child_has_the_queue_and_the_priority_of_its_parent(mut subject: Subject) {
    let (store, other) = (subject.store(), subject.another().await);
    let epoch = store.join(worker(&["gpu"]), super::LONG).await.unwrap();
    let elsewhere = other.join(worker(&["gpu", "", "x"]), super::LONG).await.unwrap();
    create(&*store, epoch, [placed("low", "gpu", 1), placed("parent", "gpu", 5)]).await;
    assert_eq!(claim(&*store, epoch).await, ["parent", "low"]);
    let parent: ProcessId = "parent".into();
    let free = Placement { queue: "x".to_owned(), priority: 9, unowned: true };
    let children = vec![child("own", &parent, true), NewProcess { placement: free, ..child("free", &parent, true) }];
    let commit = Commit { children, ..boundary(&parent, epoch, ProcessState::Running) };
    store.commit(commit).await.unwrap();
    launch(&*store, epoch, child("alone", &parent, false)).await;
    let unplaced = join(&*store).await;
    assert_eq!(claim(&*store, unplaced).await, [""; 0]);
    assert_eq!(claim(&*other, elsewhere).await, ["free"]);
    store.release(epoch).await.unwrap();
    assert_eq!(claim(&*store, unplaced).await, [""; 0]);
    assert_eq!(claim(&*other, elsewhere).await, ["parent", "own", "alone", "low"]);
}

/// Neither what has ended, is parked, paused, waits for something that has not come, nor what another worker has.
pub async fn what_cannot_go_on_is_not_claimed(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let later = now(&*first, one).await + LATER;
    let pids = ["ended", "parked", "paused", "resume", "later", "both", "child", "created", "running", "begun"];
    create(&*first, one, pids.map(process)).await;
    create(&*first, one, [NewProcess { begun: Some("step"), ..process("started") }]).await;
    let all = pids.map(ProcessId::from);
    let [ended, parked, paused, resume, wake, both, awaiting, _, running, _] = &all;
    end(&*first, one, ended).await;
    first.park(one, parked, "why".to_owned()).await.unwrap();
    first.commit(Commit { paused: true, ..boundary(paused, one, ProcessState::Running) }).await.unwrap();
    first.commit(waiting(resume, one, for_a_resume())).await.unwrap();
    let until = |wake_at| Awaiting { wake_at: Some(wake_at), ..Awaiting::default() };
    first.commit(waiting(wake, one, until(later))).await.unwrap();
    let past = crate::clock::Timestamp::from_millis(1);
    first.commit(waiting(both, one, Awaiting { wake_at: Some(past), ..for_a_resume() })).await.unwrap();
    let open = AwaitedChild { pid: "open".into(), allow_failure: false };
    let children = vec![child("open", awaiting, true)];
    let wait = Awaiting { children: vec![open], ..until(past) };
    first.commit(Commit { children, ..waiting(awaiting, one, wait) }).await.unwrap();
    first.commit(boundary(running, one, ProcessState::Running)).await.unwrap();
    assert_eq!(claim(&*second, other).await, [""; 0], "another worker has them");
    assert_eq!(claim(&*first, one).await, [""; 0], "it has them already");
    first.release(one).await.unwrap();
    assert_eq!(claim(&*second, other).await, ["created", "running", "begun", "started", "open"]);
}

/// By the store's clock, whether or not the time was past when the wait began.
pub async fn a_wait_can_go_on_when_its_time_has_come(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    create(&*first, one, ["past", "soon"].map(process)).await;
    let began = now(&*first, one).await;
    let soon = began + Duration::from_millis(150);
    for (pid, wake_at) in [("past", began), ("soon", soon)] {
        let wait = Awaiting { wake_at: Some(wake_at), ..Awaiting::default() };
        first.commit(waiting(&pid.into(), one, wait)).await.unwrap();
    }
    first.release(one).await.unwrap();
    let mut claimed = claim(&*second, other).await;
    assert!(claimed.contains(&"past".to_owned()));
    let come = async {
        while claimed.len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            claimed.extend(claim(&*second, other).await);
        }
    };
    tokio::time::timeout(SOON, come).await.expect("its time has come");
    assert!(now(&*second, other).await >= soon, "not before");
}

/// All of them, whoever has ended them; the last one's end tells.
pub async fn a_wait_can_go_on_when_its_children_have_ended(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let parent = launch(&*first, one, process("parent")).await;
    let pids = ["a", "b"].map(ProcessId::from);
    let awaited = pids.clone().map(|pid| AwaitedChild { pid, allow_failure: false }).to_vec();
    let free = Placement { unowned: true, ..Placement::default() };
    let own = Some(Parent { pid: parent.clone(), awaited: true, follows: false });
    let children = vec![child("a", &parent, true), NewProcess { parent: own, placement: free, ..process("b") }];
    let wait = Awaiting { children: awaited, ..Awaiting::default() };
    first.commit(Commit { children, ..waiting(&parent, one, wait) }).await.unwrap();
    first.hand_over(one, vec![parent.clone()]).await.unwrap();
    assert_eq!(claim(&*second, other).await, ["b"]);
    assert_eq!(end(&*first, one, &pids[0]).await.ready_parent, None);
    assert_eq!(claim(&*second, other).await, [""; 0]);
    assert_eq!(end(&*second, other, &pids[1]).await.ready_parent, Some(parent));
    assert_eq!(claim(&*first, one).await, ["parent"]);
    assert_eq!(claim(&*second, other).await, [""; 0]);
}

/// Back in a wait for a child that has not ended, it waits for it, though it waited for nothing in between.
pub async fn what_was_restored_to_a_wait_for_a_child_waits_for_it(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let parent = launch(&*first, one, process("parent")).await;
    let awaited = vec![AwaitedChild { pid: "child".into(), allow_failure: false }];
    let wait = Awaiting { children: awaited, ..Awaiting::default() };
    let children = vec![child("child", &parent, true)];
    first.commit(Commit { children, ..waiting(&parent, one, wait) }).await.unwrap();
    first.save_snapshot(one, &parent, "wait", AT).await.unwrap();
    let goes_on = boundary(&parent, one, ProcessState::Running);
    first.commit(Commit { awaiting: Some(Awaiting::default()), ..goes_on }).await.unwrap();
    assert_eq!(load(&*first, &parent).await.open_children, 0);
    first.restore(one, &parent, "wait", AT).await.unwrap();
    is_claimed_when_its_child_has_ended((&*first, one), (&*second, other), &parent, &"child".into()).await;
}

/// Whatever its last boundary has named.
pub async fn a_wait_is_for_children_that_are_created_alone_meanwhile(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let parent = launch(&*first, one, process("parent")).await;
    first.commit(waiting(&parent, one, Awaiting::default())).await.unwrap();
    let alone = launch(&*second, one, child("alone", &parent, true)).await;
    is_claimed_when_its_child_has_ended((&*first, one), (&*second, other), &parent, &alone).await;
}

/// A parent that one worker has, as well as its open child.
async fn is_claimed_when_its_child_has_ended(
    (first, one): (&dyn Store, Epoch),
    (second, other): (&dyn Store, Epoch),
    parent: &ProcessId,
    child: &ProcessId,
) {
    assert_eq!(load(first, parent).await.open_children, 1);
    first.hand_over(one, vec![parent.clone()]).await.unwrap();
    assert_eq!(claim(second, other).await, [""; 0]);
    assert_eq!(end(first, one, child).await.ready_parent.as_ref(), Some(parent));
    assert_eq!(claim(second, other).await, [parent.to_string()]);
}

/// One that is filed, whatever the process waits for, until it is applied.
pub async fn a_request_lets_a_process_go_on(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let (rests, paused) = (launch(&*first, one, process("rests")).await, launch(&*first, one, process("paused")).await);
    first.commit(waiting(&rests, one, for_a_resume())).await.unwrap();
    first.commit(Commit { paused: true, ..boundary(&paused, one, ProcessState::Running) }).await.unwrap();
    // Its boundary names nothing that it waits for: it waits for the child all the same.
    let parent = launch(&*first, one, process("parent")).await;
    let children = vec![child("child", &parent, true)];
    first.commit(Commit { children, ..boundary(&parent, one, ProcessState::Waiting) }).await.unwrap();
    first.commit(Commit { paused: true, ..boundary(&"child".into(), one, ProcessState::Running) }).await.unwrap();
    first.release(one).await.unwrap();
    assert_eq!(claim(&*second, other).await, [""; 0]);
    let kill = || Request::Kill { text: "why".to_owned(), force: false };
    for (pid, request) in [(&rests, kill()), (&paused, Request::Play), (&parent, kill())] {
        let id = second.request(pid, request).await.unwrap();
        assert_eq!(claim(&*second, other).await, [pid.to_string()]);
        let before = load(&*second, pid).await;
        let same = Commit { paused: before.paused, applied: vec![id], ..boundary(pid, other, before.state) };
        second.commit(same).await.unwrap();
        second.hand_over(other, vec![pid.clone()]).await.unwrap();
        assert_eq!(claim(&*second, other).await, [""; 0], "it is applied");
    }
}
