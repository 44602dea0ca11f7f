//! Sentence 23.

use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

use super::super::{Subject, child, end, launch, load, process, refused};
use super::{LONG, SHORT, SOON, create, for_a_resume, join, now, unowned, waiting, worker};
use crate::process::{BoxFuture, ProcessId, Request};
use crate::store::{AwaitedChild, Awaiting, Commit, Epoch, NewProcess, Store, StoreErrorKind};

type Handle = (Arc<dyn Store>, Epoch);

/// Waits, as a worker does, until this one is its own.
fn claims(worker: &Handle, pid: &'static str) -> JoinHandle<()> {
    until(worker, move |store, epoch| {
        Box::pin(async move {
            let claimed = store.claim(epoch, 10, crate::limits::ATTEMPTS).await.unwrap();
            claimed.records.iter().any(|record| record.pid == pid.into())
        })
    })
}

/// Looks, and lets `work` say when to look again.
fn until(
    worker: &Handle,
    mut look: impl FnMut(Arc<dyn Store>, Epoch) -> BoxFuture<'static, bool> + Send + 'static,
) -> JoinHandle<()> {
    let (store, epoch) = (Arc::clone(&worker.0), worker.1);
    tokio::spawn(async move {
        let looks = async {
            while !look(Arc::clone(&store), epoch).await {
                store.work(epoch).await.unwrap();
            }
        };
        tokio::time::timeout(SOON, looks).await.expect("`work` does not end");
    })
}

/// Lets a worker look that finds nothing, and come to its waiting; or not quite.
async fn come_to_wait(round: u64) {
    tokio::time::sleep(Duration::from_millis(round % 3 * 20)).await;
}

/// One that was created for anyone, handed over or released.
pub async fn work_ends_for_a_process_to_claim(mut subject: Subject) {
    let [(first, one), second] = subject.two().await;
    let leaving = join(&*first).await;
    launch(&*first, one, process("handed over")).await;
    launch(&*first, leaving, process("released")).await;
    for (round, pid) in (0..).zip(["created", "with its parent", "handed over", "released"]) {
        let waits = claims(&second, pid);
        come_to_wait(round).await;
        match pid {
            "created" => create(&*first, one, [unowned(pid)]).await,
            "with its parent" => {
                let parent = launch(&*first, one, process("parent")).await;
                let free = unowned(pid);
                let children = vec![NewProcess { placement: free.placement, ..child(pid, &parent, true) }];
                first.commit(Commit { children, ..waiting(&parent, one, for_a_resume()) }).await.unwrap();
            }
            "handed over" => first.hand_over(one, vec![pid.into()]).await.unwrap(),
            _ => first.release(leaving).await.unwrap(),
        }
        waits.await.unwrap();
    }
}

/// A lease that lapses, and a time that comes.
pub async fn work_ends_for_what_comes_about_by_itself(mut subject: Subject) {
    let [(first, one), second] = subject.two().await;
    loop {
        let short = first.join(worker(&[""]), SHORT).await.unwrap();
        match first.create(short, process("lost")).await {
            Err(error) if error.kind() == StoreErrorKind::Stale => {}
            created => break drop(created.unwrap()),
        }
    }
    claims(&second, "lost").await.unwrap();
    let rests = launch(&*first, one, process("rests")).await;
    let wake_at = Some(now(&*first, one).await + SHORT);
    first.commit(waiting(&rests, one, Awaiting { wake_at, ..Awaiting::default() })).await.unwrap();
    first.hand_over(one, vec![rests]).await.unwrap();
    claims(&second, "rests").await.unwrap();
}

/// To a process of its own, and to one that nobody has.
pub async fn work_ends_for_a_request(mut subject: Subject) {
    let [first, second] = subject.two().await;
    let (mine, rests) = (launch(&*first.0, first.1, process("mine")).await, process("rests"));
    let rests = launch(&*first.0, first.1, rests).await;
    for pid in [&mine, &rests] {
        first.0.commit(waiting(pid, first.1, for_a_resume())).await.unwrap();
    }
    first.0.hand_over(first.1, vec![rests.clone()]).await.unwrap();
    for round in 0..3 {
        let (pid, last) = (mine.clone(), second.0.requests(None).await.unwrap().last().map(|row| row.id));
        let waits = until(&first, move |store, _| {
            let pid = pid.clone();
            Box::pin(async move { store.requests(last).await.unwrap().iter().any(|row| row.pid == pid) })
        });
        come_to_wait(round).await;
        second.0.request(&mine, Request::Play).await.unwrap();
        waits.await.unwrap();
    }
    let waits = claims(&second, "rests");
    come_to_wait(1).await;
    first.0.request(&rests, Request::Play).await.unwrap();
    waits.await.unwrap();
}

/// Of a process of its own, and of one that nobody has.
pub async fn work_ends_for_the_end_of_a_child(mut subject: Subject) {
    let [first, second] = subject.two().await;
    let (store, one) = (&first.0, first.1);
    let free = unowned("x").placement;
    let has_none_open = |store: Arc<dyn Store>, pid: ProcessId| -> BoxFuture<'static, bool> {
        Box::pin(async move { load(&*store, &pid).await.open_children == 0 })
    };
    for (round, (parent, pid)) in (0..).zip([("a", "a1"), ("b", "b1"), ("c", "c1"), ("nobody's", "d1")]) {
        let parent = launch(&**store, one, process(parent)).await;
        let children = vec![NewProcess { placement: free.clone(), ..child(pid, &parent, true) }];
        let awaited = vec![AwaitedChild { pid: pid.into(), allow_failure: false }];
        let wait = Awaiting { children: awaited, ..Awaiting::default() };
        store.commit(Commit { children, ..waiting(&parent, one, wait) }).await.unwrap();
        claims(&second, pid).await.unwrap();
        let waits = if round < 3 {
            until(&first, move |store, _| has_none_open(store, parent.clone()))
        } else {
            store.hand_over(one, vec![parent]).await.unwrap();
            claims(&first, "nobody's")
        };
        come_to_wait(round).await;
        end(&*second.0, second.1, &pid.into()).await;
        waits.await.unwrap();
    }
}

/// Where its lease lapses, and where another acquires the store.
pub async fn work_ends_once_the_worker_is_stale(mut subject: Subject) {
    let (store, other) = (subject.store(), subject.another().await);
    for lease in [SHORT, LONG] {
        let epoch = store.join(worker(&[""]), lease).await.unwrap();
        let waits = Arc::clone(&store);
        let waits = tokio::spawn(async move { while waits.work(epoch).await.is_ok() {} });
        if lease == LONG {
            come_to_wait(1).await;
            other.acquire().await.unwrap();
        }
        tokio::time::timeout(SOON, waits).await.expect("`work` does not end").unwrap();
        refused(store.work(epoch).await, StoreErrorKind::Stale);
    }
}
