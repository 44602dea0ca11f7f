//! What is asked of a process that another worker has.

use procession::prelude::*;
use procession::process::Request;
use procession::store::{Epoch, Store, Worker};
use procession::{RunError, WorkerOptions};
use std::time::Duration;

use super::{Counted, LEASE, Team, on_each_store};

on_each_store! {
    what_is_asked_of_a_process_elsewhere_is_answered_when_it_is_done,
    what_is_asked_of_a_process_that_nobody_has_waits_for_a_worker,
    a_request_to_a_process_of_another_worker_is_not_discarded,
    who_waits_for_a_process_elsewhere_is_told_when_the_runtime_closes,
}

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn within<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer).await.expect("there is an answer")
}

/// The answer, while one step after the other is let through.
pub(super) async fn while_it_works<T>(team: &Team, answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(within(answer));
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            () = tokio::time::sleep(Duration::from_millis(5)) => team.world.gate.open(1),
        }
    }
}

async fn what_is_asked_of_a_process_elsewhere_is_answered_when_it_is_done(team: Team) {
    let nothing = WorkerOptions::new().queues(["of nobody"]).lease(LEASE);
    let client = team.worker().await.worker(nothing).build().await.unwrap();
    let _worker = team.worker().await.build().await.unwrap();
    let run = client.launch(Counted::inputs().rounds(100_000).gated(true)).anywhere().await.unwrap();
    team.world.gate.reached().await;
    // A pause is in force when the step has ended.
    assert!(while_it_works(&team, run.pause("for a while")).await.unwrap());
    let record = team.world.store.load(run.pid()).await.unwrap().unwrap();
    assert!(record.paused && record.state == ProcessState::Running, "{record:?}");
    assert!(within(run.play()).await.unwrap());
    let refused = within(run.resume("nobody waits for it")).await;
    assert!(matches!(refused, Ok(true) | Err(RunError::InvalidState { .. })), "{refused:?}");
    assert!(within(run.kill_force("enough")).await.unwrap());
    assert!(!within(run.pause("too late")).await.unwrap());
}

async fn what_is_asked_of_a_process_that_nobody_has_waits_for_a_worker(team: Team) {
    let nothing = WorkerOptions::new().queues(["of nobody"]).lease(LEASE);
    let client = team.worker().await.worker(nothing).build().await.unwrap();
    let run = client.launch(Counted::inputs().rounds(100_000).gated(true)).anywhere().await.unwrap();
    let killing = run.kill("before it begins");
    let worker = async {
        // Filed before anyone is there.
        crate::support::eventually(|| async { !team.world.store.requests(None).await.unwrap().is_empty() }).await;
        team.worker().await.build().await.unwrap()
    };
    let (killed, _worker) = tokio::join!(while_it_works(&team, killing), worker);
    assert!(killed.unwrap());
    assert!(team.world.store.load(run.pid()).await.unwrap().unwrap().state == ProcessState::Killed);
}

pub(super) async fn join(store: &dyn Store) -> Epoch {
    let (host, version, queues) = ("here".to_owned(), String::new(), vec![String::new()]);
    store.join(Worker { host, os_process: 1, version, queues, slots: 1 }, Duration::from_secs(600)).await.unwrap()
}

async fn a_request_to_a_process_of_another_worker_is_not_discarded(team: Team) {
    let worker = team.worker().await.build().await.unwrap();
    let run = worker.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    worker.shutdown_within(Duration::ZERO).await.unwrap();
    let store = &*team.world.store;
    let (one, other) = (join(store).await, join(store).await);
    assert_eq!(store.claim(one, 1, 5).await.unwrap().records.len(), 1);
    let id = store.request(run.pid(), Request::Play).await.unwrap();
    let unknown = store.request(&"nobody".into(), Request::Play).await.unwrap();
    store.discard_requests(other, vec![id, unknown]).await.unwrap();
    let left = store.requests(None).await.unwrap();
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    store.discard_requests(one, vec![id]).await.unwrap();
    assert_eq!(store.requests(None).await.unwrap(), []);
}

async fn who_waits_for_a_process_elsewhere_is_told_when_the_runtime_closes(team: Team) {
    let nothing = WorkerOptions::new().queues(["of nobody"]).lease(LEASE);
    let client = team.worker().await.worker(nothing).build().await.unwrap();
    let run = client.launch(Counted::inputs()).anywhere().await.unwrap();
    let (outcome, asked, closed) = tokio::join!(within(run.outcome()), within(run.kill("why")), client.shutdown());
    closed.unwrap();
    assert!(matches!(outcome, Err(RunError::Closed)), "{outcome:?}");
    assert!(matches!(asked, Err(RunError::Closed)), "{asked:?}");
}
