//! Workers that cannot know: an answer is lost, or the lease may have lapsed.

use procession::prelude::*;
use procession::store::Store;
use procession::{RuntimeBuilder, WorkerOptions};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Counted, LEASE, Team, on_each_store};
use crate::faulty::{Call, Faulty};
use crate::support::eventually;

on_each_store! {
    what_was_claimed_goes_on_where_the_answer_to_the_claim_is_lost,
    a_boundary_whose_answer_is_lost_is_written_once,
    a_launch_whose_answer_is_lost_can_be_repeated,
    a_worker_that_may_have_lost_its_lease_begins_no_step,
    a_worker_that_joins_anew_cuts_off_what_it_has_lost,
}

/// How long all of it may take; a worker that waits for something that does not come waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn ends(run: &procession::Handle<Counted>) -> u32 {
    let outcome = tokio::time::timeout(PATIENCE, run.outcome()).await.expect("it ends");
    outcome.unwrap().finished().unwrap().rounds
}

/// How often a process was seen to end.
async fn ended(team: &Team, pid: &ProcessId) -> usize {
    let history = team.world.store.history(pid).await.unwrap();
    history.iter().filter(|entry| entry.to.is_terminal()).count()
}

/// A worker that claims nothing.
pub(super) async fn client(team: &Team) -> RuntimeBuilder {
    team.worker().await.worker(WorkerOptions::new().queues(["of nobody"]))
}

async fn what_was_claimed_goes_on_where_the_answer_to_the_claim_is_lost(team: Team) {
    let store = Faulty::over(team.store().await, u64::MAX);
    *store.lost.lock().unwrap() = Some(Call::Claim);
    let client = client(&team).await.build().await.unwrap();
    let run = client.launch(Counted::inputs()).anywhere().await.unwrap();
    // Its lease goes on all the time: nobody else would ever get the process.
    let _worker = team.worker_on(store).build().await.unwrap();
    assert_eq!(ends(&run).await, 3);
    assert_eq!(team.repeated(), 0);
}

async fn a_boundary_whose_answer_is_lost_is_written_once(team: Team) {
    let store = Faulty::over(team.store().await, u64::MAX);
    let worker = team.worker_on(store.clone()).build().await.unwrap();
    let run = worker.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    let before = team.world.store.workers().await.unwrap()[0].epoch;
    *store.lost.lock().unwrap() = Some(Call::Commit);
    team.world.gate.open(3);
    assert_eq!(ends(&run).await, 3);
    assert_eq!((team.repeated(), ended(&team, run.pid()).await), (0, 1));
    let workers = team.world.store.workers().await.unwrap();
    assert!(workers.iter().all(|worker| worker.epoch != before), "it has joined anew: {workers:?}");
}

async fn a_launch_whose_answer_is_lost_can_be_repeated(team: Team) {
    let store = Faulty::over(team.store().await, u64::MAX);
    let worker = team.worker_on(store.clone()).build().await.unwrap();
    *store.lost.lock().unwrap() = Some(Call::Create);
    let lost = worker.launch(Counted::inputs()).key("k").await;
    assert!(lost.is_err(), "nobody knows");
    let run = worker.launch(Counted::inputs()).key("k").await.unwrap();
    assert_eq!(ends(&run).await, 3);
    assert_eq!(team.repeated(), 0);
}

/// One waits for the slot of the other when the store stops answering: it does not begin with what another may have by then.
async fn a_worker_that_may_have_lost_its_lease_begins_no_step(team: Team) {
    let deaf = Faulty::over(team.store().await, u64::MAX);
    let worker = team.worker_on(deaf.clone()).concurrent(1).build().await.unwrap();
    let one = worker.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    let two = worker.launch(Counted::inputs()).await.unwrap();
    team.world.gate.open(1);
    // The first has given way, and is at the gate again, or is about to be; the second is in the midst of its steps.
    team.world.gate.reached().await;
    deaf.full.store(true, Ordering::SeqCst);
    tokio::time::sleep(LEASE).await;
    let begun = team.tally.lock().unwrap().clone();
    team.world.gate.open(1);
    tokio::time::sleep(LEASE / 2).await;
    assert_eq!(*team.tally.lock().unwrap(), begun, "no step has begun since");
    deaf.full.store(false, Ordering::SeqCst);
    team.world.gate.open(9);
    assert_eq!((ends(&one).await, ends(&two).await), (3, 3));
}

/// What is at its step still would keep the process, and its slot, for as long as that takes.
async fn a_worker_that_joins_anew_cuts_off_what_it_has_lost(team: Team) {
    let deaf = Faulty::over(team.store().await, u64::MAX);
    let worker = team.worker_on(deaf.clone()).concurrent(1).build().await.unwrap();
    let run = worker.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    deaf.full.store(true, Ordering::SeqCst);
    eventually(|| async { team.world.store.workers().await.unwrap().iter().all(|worker| !worker.alive) }).await;
    deaf.full.store(false, Ordering::SeqCst);
    // Nobody opens the gate for the first one.
    team.world.gate.reached().await;
    team.world.gate.open(3);
    assert_eq!(ends(&run).await, 3);
    assert_eq!((team.repeated(), ended(&team, run.pid()).await), (1, 1));
}

#[tokio::test]
async fn a_store_that_is_given_up_is_released_at_once() {
    // Others do not wait for the end of a lease that is given up.
    let team = Team::in_memory();
    let long = WorkerOptions::new().lease(Duration::from_secs(600));
    let store = Faulty::over(team.store().await, u64::MAX);
    let worker = team.worker_on(store.clone()).worker(long).build().await.unwrap();
    let run = worker.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    *store.lost.lock().unwrap() = Some(Call::Commit);
    team.world.gate.open(3);
    assert_eq!(ends(&run).await, 3);
    let shared: Arc<dyn Store> = store;
    assert_eq!(shared.workers().await.unwrap().len(), 1);
}
