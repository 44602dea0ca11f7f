//! What a worker gives up, or has lost, it does not go on with while another does.

use procession::RunError;
use procession::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::doubt::{client, ends};
use super::{Counted, Team, on_each_store};
use crate::faulty::Faulty;
use crate::support::{Gate, eventually};

on_each_store! {
    a_process_is_given_up_when_its_step_is_cut_off,
    what_was_claimed_before_a_worker_joined_anew_is_not_begun_by_it,
    a_step_that_was_claimed_before_a_worker_joined_anew_is_not_begun_by_it,
}

/// How many are at the step now, and were at most.
#[derive(Default, Clone)]
struct Crowd {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Present(Arc<AtomicUsize>);

impl Present {
    fn at(crowd: &Crowd) -> Self {
        let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
        crowd.most.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(&crowd.now))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[process(name = "it::Alone", needs(Crowd, Gate))]
#[derive(Default)]
struct Alone;

spec! { Alone {} }
outline! { Alone { stay; } }

impl Alone {
    async fn stay(&mut self, cx: &mut Cx<Self>) {
        let _present = Present::at(&cx.resource::<Crowd>());
        cx.resource::<Gate>().pass().await;
    }
}

/// It cannot be brought as a whole, though it is here and at its step.
async fn a_process_is_given_up_when_its_step_is_cut_off(team: Team) {
    let crowd = Crowd::default();
    let store = Faulty::over(team.store().await, u64::MAX);
    store.asks_nothing.store(true, Ordering::SeqCst);
    let builder = client(&team).await.resource(crowd.clone()).register::<Alone>();
    let client = builder.build().await.unwrap();
    let run = client.launch(Alone::inputs()).anywhere().await.unwrap();
    let one = team.worker_on(store.clone()).resource(crowd.clone()).register::<Alone>();
    let _one = one.build().await.unwrap();
    team.world.gate.reached().await;
    let other = team.worker().await.resource(crowd.clone()).register::<Alone>().build().await.unwrap();
    eventually(|| async { other.health().await.processes > 0 }).await;
    team.world.gate.reached().await;
    assert_eq!(crowd.most.load(Ordering::SeqCst), 1);
    team.world.gate.open(1);
    assert!(run.outcome().await.unwrap().is_finished());
    assert_eq!(crowd.most.load(Ordering::SeqCst), 1);
}

async fn what_was_claimed_before_a_worker_joined_anew_is_not_begun_by_it(team: Team) {
    let slow = Faulty::over(team.store().await, u64::MAX);
    let claiming = Gate::new();
    *slow.claiming.lock().unwrap() = Some(claiming.clone());
    let client = client(&team).await.build().await.unwrap();
    let run = client.launch(Counted::inputs().gated(true)).anywhere().await.unwrap();
    let one = team.worker_on(slow.clone()).build().await.unwrap();
    claiming.reached().await;
    slow.full.store(true, Ordering::SeqCst);
    let _other = team.worker().await.concurrent(1).build().await.unwrap();
    team.world.gate.reached().await;
    slow.full.store(false, Ordering::SeqCst);
    eventually(|| async {
        team.world.store.workers().await.unwrap().iter().filter(|worker| worker.alive).count() == 3
    })
    .await;
    let under_the_next = one.launch(Counted::inputs()).await.unwrap();
    assert_eq!(ends(&under_the_next).await, 3);
    claiming.open(1);
    // The other has no slot for it: the first one has done with its claim.
    let next = client.launch(Counted::inputs()).anywhere().await.unwrap();
    assert_eq!(ends(&next).await, 3);
    assert_eq!(team.repeated(), 0);
    team.world.gate.open(3);
    assert_eq!(ends(&run).await, 3);
    assert_eq!(team.repeated(), 0);
}

/// The same of one that is in the midst of its steps: it begins without a write, which would be refused.
async fn a_step_that_was_claimed_before_a_worker_joined_anew_is_not_begun_by_it(team: Team) {
    let first = team.worker().await.build().await.unwrap();
    let pid = first.launch(Counted::inputs().gated(true)).await.unwrap().pid().clone();
    team.world.gate.reached().await;
    first.shutdown_within(std::time::Duration::ZERO).await.unwrap();
    let slow = Faulty::over(team.store().await, u64::MAX);
    let claiming = Gate::new();
    *slow.claiming.lock().unwrap() = Some(claiming.clone());
    let one = team.worker_on(slow.clone()).build().await.unwrap();
    claiming.reached().await;
    slow.full.store(true, Ordering::SeqCst);
    let other = team.worker().await.concurrent(1).build().await.unwrap();
    team.world.gate.reached().await;
    slow.full.store(false, Ordering::SeqCst);
    let alive = |worker: &procession::store::WorkerRow| worker.alive;
    eventually(|| async { team.world.store.workers().await.unwrap().into_iter().filter(alive).count() == 2 }).await;
    claiming.open(1);
    // The other has no slot for it: the first one has done with its claim.
    let next = client(&team).await.build().await.unwrap().launch(Counted::inputs()).anywhere().await.unwrap();
    eventually(|| async { team.world.store.termination(next.pid()).await.unwrap().is_some() }).await;
    let runs = team.tally.lock().unwrap()[&(pid.to_string(), 0)];
    assert_eq!(runs, 2, "where it was cut off, and where it goes on");
    team.world.gate.open(3);
    assert!(other.attach(&pid).await.unwrap().termination().await.unwrap().ended.is_successful());
    one.shutdown().await.unwrap();
}

/// Handles keep what they need; but nothing is driven any more, and others need not wait.
#[tokio::test]
async fn a_runtime_that_was_dropped_leaves_when_its_steps_have_ended() {
    let team = Team::in_memory();
    let one = team.worker().await.build().await.unwrap();
    let run = one.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    drop(one);
    team.world.gate.open(3);
    eventually(|| async { team.world.store.workers().await.unwrap().is_empty() }).await;
    let other = team.worker().await.build().await.unwrap();
    let again = other.attach(run.pid()).await.unwrap();
    assert_eq!(again.termination().await.unwrap().outputs["rounds"], 3);
    assert_eq!(team.repeated(), 0);
}

/// Nobody looks any more for what ends elsewhere.
#[tokio::test]
async fn who_asks_a_worker_that_was_shut_down_is_told_so() {
    let team = Team::in_memory();
    let (one, other) = (team.worker().await.build().await.unwrap(), team.worker().await.build().await.unwrap());
    let run = one.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    other.shutdown().await.unwrap();
    let handle = other.attach(run.pid()).await.unwrap();
    let end = tokio::time::timeout(std::time::Duration::from_secs(20), handle.termination()).await.expect("an answer");
    assert!(matches!(end, Err(RunError::Closed)), "{end:?}");
}
