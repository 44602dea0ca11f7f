//! Sentences 29 and 30.

use std::time::Duration;

use super::super::{AT, Subject, boundary, child, end, launch, process, refused};
use super::{claim, create, for_a_resume, lost, placed, unowned, waiting};
use crate::process::{ProcessId, ProcessState};
use crate::store::{AwaitedChild, Awaiting, Commit, Standing, Store, StoreErrorKind};

/// At once, by any worker, with all attempts before it.
pub async fn what_was_unparked_can_be_claimed(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let pid: ProcessId = "parked".into();
    create(&*first, one, [unowned("parked")]).await;
    lost(&*first, 10).await;
    assert_eq!(claim(&*first, one).await, ["parked"]);
    assert!(!second.unpark(other, &pid).await.unwrap(), "it is not parked");
    first.commit(boundary(&pid, one, ProcessState::Running)).await.unwrap();
    first.fail(one, &pid, "why".to_owned(), 9).await.unwrap();
    assert_eq!(claim(&*first, one).await, ["parked"]);
    first.park(one, &pid, "why".to_owned()).await.unwrap();
    assert!(second.unpark(other, &pid).await.unwrap());
    assert!(!second.unpark(other, &pid).await.unwrap());
    let claimed = second.claim(other, 10, crate::limits::ATTEMPTS).await.unwrap();
    assert_eq!((claimed.records.len(), claimed.attempts), (1, Vec::new()));
    assert_eq!(claimed.records[0].parked, None);
    refused(second.unpark(other, &"unknown".into()).await, StoreErrorKind::NotFound);
    let (gone, _) = lost(&*first, 10).await;
    refused(second.unpark(gone, &pid).await, StoreErrorKind::Stale);
    end(&*second, other, &pid).await;
    assert!(!second.unpark(other, &pid).await.unwrap());
}

async fn all(store: &dyn Store, most: usize) -> Vec<Standing> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.standing(after, most).await.unwrap();
        assert!(page.standings.len() <= most);
        assert_eq!(page.unreadable, []);
        all.extend(page.standings);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// In order, in pages of any size, with whose each is and what it waits for.
pub async fn standings_tell_whose_a_process_is_and_what_it_waits_for(mut subject: Subject) {
    let [(store, one), (_second, other)] = subject.two().await;
    create(&*store, one, [placed("gpu", "gpu", 7), process("ended"), process("parent"), process("wakes")]).await;
    let [ended, parent, wakes] = ["ended", "parent", "wakes"].map(ProcessId::from);
    end(&*store, one, &ended).await;
    let awaited = ["a", "b"].map(|pid| AwaitedChild { pid: pid.into(), allow_failure: false });
    let children = vec![child("a", &parent, true), child("b", &parent, true)];
    let awaiting = Awaiting { children: awaited.to_vec(), ..for_a_resume() };
    store.commit(Commit { children, ..waiting(&parent, one, awaiting) }).await.unwrap();
    store.park(one, &"b".into(), "why".to_owned()).await.unwrap();
    let wake_at = Some(AT + Duration::from_secs(9));
    store.commit(waiting(&wakes, one, Awaiting { wake_at, ..Awaiting::default() })).await.unwrap();
    store.commit(Commit { paused: true, ..boundary(&"a".into(), one, ProcessState::Running) }).await.unwrap();
    create(&*store, one, [unowned("lost")]).await;
    let (gone, _) = lost(&*store, 10).await;
    store.renew(other, 1).await.unwrap();

    let told = all(&*store, 100).await;
    let order: Vec<_> = told.iter().map(|standing| standing.pid.to_string()).collect();
    assert_eq!(order, ["gpu", "parent", "wakes", "a", "b", "lost"]);
    for most in [1, 2, 6] {
        assert_eq!(all(&*store, most).await, told, "pages of {most}");
    }
    let own = Some((one, true));
    let plain = Standing {
        pid: "gpu".into(),
        process: "suite::Relax".to_owned(),
        parent: None,
        state: ProcessState::Created,
        paused: false,
        parked: None,
        queue: String::new(),
        priority: 0,
        owner: own,
        attempts: 0,
        open_children: 0,
        vain_children: 0,
        wake_at: None,
        resume: false,
        streams: false,
        created_at: AT,
        updated_at: AT,
    };
    let waits = Standing { state: ProcessState::Waiting, ..plain.clone() };
    let of_parent = Standing { parent: Some(parent.clone()), ..plain.clone() };
    let expected = [
        Standing { queue: "gpu".to_owned(), priority: 7, owner: None, ..plain.clone() },
        Standing { pid: parent, open_children: 2, vain_children: 1, resume: true, ..waits.clone() },
        Standing { pid: wakes, wake_at, ..waits },
        Standing { pid: "a".into(), state: ProcessState::Running, paused: true, ..of_parent.clone() },
        Standing { pid: "b".into(), parked: Some("why".to_owned()), owner: None, ..of_parent },
        Standing { pid: "lost".into(), owner: Some((gone, false)), ..plain },
    ];
    assert_eq!(told, expected);
    assert_eq!(claim(&*store, one).await, ["lost"]);
    assert_eq!(store.standing(None, 100).await.unwrap().standings[5].attempts, 1);
    let alone = launch(&*store, one, process("alone")).await;
    assert_eq!(all(&*store, 100).await.last().map(|standing| standing.pid.clone()), Some(alone));
    let acquired = store.acquire().await.unwrap();
    assert!(all(&*store, 100).await.iter().all(|standing| standing.owner.is_none()), "they are all {acquired:?}'s");
}
