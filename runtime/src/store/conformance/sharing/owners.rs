//! Sentence 18.

use super::super::{AT, Subject, boundary, end, ending, launch, load, process, refused};
use super::{claim, create, join, row, unowned, worker};
use crate::process::{ProcessState, Request};
use crate::store::{Creation, NewProcess, OwedReply, StoreErrorKind};

fn reply() -> OwedReply {
    OwedReply { id: "task".to_owned(), address: "there".to_owned() }
}

/// Each under an epoch of its own, later than all before; each sees what the other writes.
pub async fn workers_write_beside_one_another(mut subject: Subject) {
    let acquired = subject.store().acquire().await.unwrap();
    let [(first, one), (second, other)] = subject.two().await;
    assert!(acquired < one && one < other, "{acquired:?}, {one:?}, {other:?}");
    for round in 0..3_i64 {
        let mine = launch(&*first, one, process(2 * round)).await;
        let yours = launch(&*second, other, process(2 * round + 1)).await;
        first.commit(boundary(&mine, one, ProcessState::Running)).await.unwrap();
        second.commit(boundary(&yours, other, ProcessState::Running)).await.unwrap();
        assert_eq!(load(&*second, &mine).await.state, ProcessState::Running);
        assert_eq!(load(&*first, &yours).await.state, ProcessState::Running);
        end(&*first, one, &mine).await;
        end(&*second, other, &yours).await;
    }
    assert!(join(&*first).await > other, "the same may join twice");
}

/// With what each said of itself, what it has, and when it was heard from; until it leaves.
pub async fn workers_are_listed_with_what_they_said(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    create(&*first, one, [process("a"), process("b"), process("c"), unowned("d")]).await;
    end(&*first, one, &"a".into()).await;
    let before = row(&*second, one).await.unwrap();
    assert_eq!((&before.worker, before.slots_used, before.owned, before.alive), (&worker(&[""]), 0, 2, true));
    first.renew(one, 5).await.unwrap();
    let after = row(&*second, one).await.unwrap();
    assert_eq!((after.slots_used, after.joined_at), (5, before.joined_at));
    assert!(before.joined_at <= before.heard_at && before.heard_at <= after.heard_at);
    let epochs: Vec<_> = second.workers().await.unwrap().iter().map(|row| row.epoch).collect();
    assert_eq!(epochs.len(), 2);
    first.release(one).await.unwrap();
    let left: Vec<_> = second.workers().await.unwrap().iter().map(|row| (row.epoch, row.owned)).collect();
    assert_eq!(left, [(other, 0)]);
}

/// Its commits, memos, parking and restoring are refused to others; what is not its own business is not.
pub async fn a_process_is_written_by_its_owner_alone(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let pid = launch(&*first, one, process("one")).await;
    first.save_snapshot(one, &pid, "tag", AT).await.unwrap();
    let before = load(&*first, &pid).await;
    refused(second.commit(boundary(&pid, other, ProcessState::Waiting)).await, StoreErrorKind::Stale);
    refused(second.commit(ending(&pid, other)).await, StoreErrorKind::Stale);
    refused(second.put_memo(&pid, other, 1, "effect", "1".to_owned()).await, StoreErrorKind::Stale);
    refused(second.park(other, &pid, "why".to_owned()).await, StoreErrorKind::Stale);
    refused(second.restore(other, &pid, "tag", AT).await, StoreErrorKind::Stale);
    assert_eq!(load(&*second, &pid).await, before);
    assert_eq!(second.memo(&pid, 1, "effect").await.unwrap(), None);
    // Others have it owe a reply, and copy it.
    second.owe(other, &pid, reply()).await.unwrap();
    let known = second.create(other, NewProcess { owes: Some(reply()), ..process("one") }).await.unwrap();
    assert!(matches!(known, Creation::Exists { .. }));
    second.settle(other, vec![(pid.clone(), reply().id)]).await.unwrap();
    second.save_snapshot(other, &pid, "copy", AT).await.unwrap();
    assert_eq!(second.delete_snapshots(other, &pid).await.unwrap(), 2);
    first.commit(boundary(&pid, one, ProcessState::Waiting)).await.unwrap();
    // What nobody has is nobody's to write either.
    create(&*first, one, [unowned("two")]).await;
    for epoch in [one, other] {
        refused(first.commit(boundary(&"two".into(), epoch, ProcessState::Running)).await, StoreErrorKind::Stale);
    }
}

/// It has ended, for whoever asks; any worker may delete it.
pub async fn a_process_that_has_ended_is_nobodys(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let pid = launch(&*first, one, process("one")).await;
    end(&*first, one, &pid).await;
    for epoch in [one, other] {
        refused(second.commit(ending(&pid, epoch)).await, StoreErrorKind::Ended);
    }
    second.owe(other, &pid, reply()).await.unwrap();
    assert!(second.delete(other, &pid).await.unwrap());
    assert_eq!(first.load(&pid).await.unwrap(), None);
}

/// One that is parked is nobody's, and theirs whose commit takes it back.
pub async fn a_parked_process_is_its_who_takes_it_back(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let pid = launch(&*first, one, process("one")).await;
    first.park(one, &pid, "why".to_owned()).await.unwrap();
    assert_eq!(claim(&*second, other).await, [""; 0]);
    assert_eq!(row(&*second, one).await.unwrap().owned, 0);
    second.commit(boundary(&pid, other, ProcessState::Running)).await.unwrap();
    assert_eq!(load(&*first, &pid).await.parked, None);
    refused(first.commit(boundary(&pid, one, ProcessState::Waiting)).await, StoreErrorKind::Stale);
    assert_eq!(claim(&*first, one).await, [""; 0]);
    end(&*second, other, &pid).await;
}

/// Who brings a process back goes on with it.
pub async fn who_restores_a_process_owns_it(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let pid = launch(&*first, one, process("one")).await;
    first.save_snapshot(one, &pid, "tag", AT).await.unwrap();
    end(&*first, one, &pid).await;
    second.restore(other, &pid, "tag", AT).await.unwrap();
    refused(first.commit(boundary(&pid, one, ProcessState::Running)).await, StoreErrorKind::Stale);
    refused(first.restore(one, &pid, "tag", AT).await, StoreErrorKind::Stale);
    assert_eq!(claim(&*first, one).await, [""; 0]);
    second.commit(boundary(&pid, other, ProcessState::Running)).await.unwrap();
    second.hand_over(other, vec![pid.clone()]).await.unwrap();
    first.restore(one, &pid, "tag", AT).await.unwrap();
    first.commit(boundary(&pid, one, ProcessState::Running)).await.unwrap();
}

/// Who acquires has the store for itself, and all that is in it.
pub async fn who_acquires_makes_all_workers_stale(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let (mine, yours) = (launch(&*first, one, process("a")).await, launch(&*second, other, process("b")).await);
    let third = subject.another().await;
    let epoch = third.acquire().await.unwrap();
    assert!(epoch > other);
    for (store, stale, pid) in [(&first, one, &mine), (&second, other, &yours)] {
        refused(store.commit(boundary(pid, stale, ProcessState::Waiting)).await, StoreErrorKind::Stale);
        refused(store.create(stale, process("new")).await, StoreErrorKind::Stale);
        refused(store.renew(stale, 0).await, StoreErrorKind::Stale);
        refused(store.claim(stale, 1, crate::limits::ATTEMPTS).await, StoreErrorKind::Stale);
        store.release(stale).await.unwrap();
    }
    assert!(third.workers().await.unwrap().iter().all(|row| !row.alive));
    for pid in [&mine, &yours] {
        assert_eq!(load(&*third, pid).await.state, ProcessState::Created);
        third.commit(boundary(pid, epoch, ProcessState::Running)).await.unwrap();
    }
    end(&*third, epoch, &mine).await;
}

/// Who joins ends the time of the one owner, and can claim what it had.
pub async fn who_joins_makes_stale_who_had_acquired(mut subject: Subject) {
    let (first, one) = subject.own().await;
    let pid = launch(&*first, one, process("one")).await;
    let second = subject.another().await;
    let other = join(&*second).await;
    refused(first.commit(boundary(&pid, one, ProcessState::Running)).await, StoreErrorKind::Stale);
    refused(first.put_memo(&pid, one, 1, "effect", "1".to_owned()).await, StoreErrorKind::Stale);
    first.release(one).await.unwrap();
    assert_eq!(claim(&*second, other).await, ["one"]);
    second.commit(boundary(&pid, other, ProcessState::Running)).await.unwrap();
}

/// What is asked of another's process, or of nobody's, is left for who has it; the rest can be discarded.
pub async fn requests_to_what_another_has_are_not_discarded(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    create(&*first, one, [process("mine"), process("ended"), unowned("free")]).await;
    create(&*second, other, [process("yours")]).await;
    end(&*first, one, &"ended".into()).await;
    let mut requests = Vec::new();
    for pid in ["mine", "ended", "free", "yours", "none"] {
        requests.push(first.request(&pid.into(), Request::Play).await.unwrap());
    }
    first.discard_requests(one, requests.clone()).await.unwrap();
    let left = second.requests(None).await.unwrap();
    assert_eq!(left.iter().map(|row| row.pid.to_string()).collect::<Vec<_>>(), ["free", "yours"]);
    second.discard_requests(other, requests.clone()).await.unwrap();
    let left = first.requests(None).await.unwrap();
    assert_eq!(left.iter().map(|row| row.pid.to_string()).collect::<Vec<_>>(), ["free"]);
    let third = subject.another().await;
    let epoch = third.acquire().await.unwrap();
    third.discard_requests(epoch, requests).await.unwrap();
    assert_eq!(third.requests(None).await.unwrap(), []);
}
