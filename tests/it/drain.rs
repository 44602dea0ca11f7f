//! Workers that take what they have room for, and hand over what they have when they end.

use procession::launcher::{Worker, WorkerError};
use procession::prelude::*;
use procession::process::Ended;
use procession::store::{MemoryStore, Store};
use procession::{AnyHandle, WorkerOptions};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faulty::Faulty;
use super::support::{World, eventually};
use super::workers::{Counted, Team, on_each_store};

/// Nobody waits for its end in a test.
const LONG: Duration = Duration::from_secs(600);

on_each_store! {
    a_worker_that_ends_hands_over_at_once_what_runs_no_step,
    a_worker_that_ends_hands_over_again_what_it_could_not,
    a_worker_that_ends_and_is_stale_hands_over_nothing_again,
    slots_bound_what_is_claimed_and_are_told_to_others,
    a_worker_without_a_communicator_works_until_it_is_told_to_stop,
    a_worker_that_is_asked_to_drain_stops,
}

/// By whoever has the store, without a signal; what it had goes on elsewhere.
async fn a_worker_that_is_asked_to_drain_stops(team: Team) {
    let runtime = team.worker().await.build().await.unwrap();
    let other = team.worker().await.build().await.unwrap();
    let asked = runtime.health().await.lease.unwrap().epoch;
    let working = tokio::spawn(Worker::new(runtime).run_until(std::future::pending()));
    assert!(team.store().await.ask_to_drain(asked).await.unwrap());
    tokio::time::timeout(Duration::from_secs(20), working).await.expect("it stops").unwrap().unwrap();
    let left: Vec<_> = team.store().await.workers().await.unwrap().iter().map(|row| row.epoch).collect();
    assert_eq!(left, [other.health().await.lease.unwrap().epoch]);
    other.shutdown().await.unwrap();
}

async fn has_ended(run: &AnyHandle, within: Duration) -> bool {
    matches!(tokio::time::timeout(within, run.termination()).await, Ok(Ok(end)) if matches!(end.ended, Ended::Finished { .. }))
}

/// One step runs on the first worker, and others wait for its slot; nobody waits for the end of its lease.
async fn a_worker_that_ends_hands_over_at_once_what_runs_no_step(team: Team) {
    let options = || WorkerOptions::new().lease(LONG);
    let one = team.worker().await.worker(options()).concurrent(1).build().await.unwrap();
    let busy = one.launch(Counted::inputs().gated(true)).await.unwrap().pid().clone();
    team.world.gate.reached().await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(one.launch(Counted::inputs()).await.unwrap().pid().clone());
    }
    let other = team.worker().await.worker(options()).build().await.unwrap();
    let leaving = tokio::spawn(async move { one.shutdown().await });
    for pid in &others {
        assert!(has_ended(&other.attach(pid).await.unwrap(), Duration::from_secs(20)).await, "{pid} goes on");
    }
    assert!(!leaving.is_finished(), "its step still runs");
    assert_eq!(other.health().await.counted.claimed, 10);
    team.world.gate.open(3);
    leaving.await.unwrap().unwrap();
    assert!(has_ended(&other.attach(&busy).await.unwrap(), Duration::from_secs(20)).await);
    assert_eq!(team.repeated(), 0, "the step that ran was let come to its end");
}

/// Others need not wait for its steps, though the store was away for a moment.
async fn a_worker_that_ends_hands_over_again_what_it_could_not(team: Team) {
    let options = || WorkerOptions::new().lease(LONG);
    let store = Faulty::over(team.store().await, u64::MAX);
    store.keeps.store(2, Ordering::SeqCst);
    let one = team.worker_on(store.clone()).worker(options()).concurrent(1).build().await.unwrap();
    one.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    let waits = one.launch(Counted::inputs()).await.unwrap().pid().clone();
    let other = team.worker().await.worker(options()).build().await.unwrap();
    let leaving = tokio::spawn(async move { one.shutdown().await });
    assert!(has_ended(&other.attach(&waits).await.unwrap(), Duration::from_secs(20)).await);
    assert!(!leaving.is_finished(), "its step still runs");
    assert_eq!(store.keeps.load(Ordering::SeqCst), 0);
    team.world.gate.open(3);
    leaving.await.unwrap().unwrap();
}

/// Its processes are others' by then.
async fn a_worker_that_ends_and_is_stale_hands_over_nothing_again(team: Team) {
    let store = Faulty::over(team.store().await, u64::MAX);
    store.stale.store(true, Ordering::SeqCst);
    let options = WorkerOptions::new().lease(LONG);
    let worker = team.worker_on(store.clone()).worker(options).concurrent(1).build().await.unwrap();
    worker.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    worker.launch(Counted::inputs()).await.unwrap();
    // Time for some attempts, while its step runs.
    worker.shutdown_within(3 * procession::limits::CLAIM_POLL).await.unwrap();
    assert_eq!(store.handed.load(Ordering::SeqCst), 1);
}

async fn slots_bound_what_is_claimed_and_are_told_to_others(team: Team) {
    let creator = team.worker().await.worker(WorkerOptions::new().queues([""; 0])).build().await.unwrap();
    for _ in 0..20 {
        creator.launch(Counted::inputs().rounds(1).gated(true)).anywhere().await.unwrap();
    }
    let store = team.store().await;
    let worker = team.worker().await.concurrent(3).build().await.unwrap();
    let epoch = worker.health().await.lease.unwrap().epoch;
    let row = || async { store.workers().await.unwrap().into_iter().find(|row| row.epoch == epoch).unwrap() };
    eventually(|| async { row().await.slots_used == 3 }).await;
    let row = row().await;
    assert_eq!((row.worker.slots, row.owned, row.alive), (3, 3, true), "no more than it has slots for");
    assert_eq!((row.worker.os_process, row.worker.host.is_empty()), (std::process::id(), false));
    let health = worker.health().await;
    assert_eq!((health.slots, health.slots_used, health.slots_free, health.processes), (3, 3, 0, 3));
    assert!(health.is_healthy(), "{:?}", health.problems);
    team.world.gate.open(20);
    eventually(|| async { worker.health().await.counted.claimed == 20 }).await;
    eventually(|| async { worker.health().await.processes == 0 }).await;
}

async fn a_worker_without_a_communicator_works_until_it_is_told_to_stop(team: Team) {
    let worker = Worker::new(team.worker().await.build().await.unwrap()).start().await.unwrap();
    assert_eq!(worker.owed(), 0);
    let run = worker.runtime().launch(Counted::inputs()).anywhere().await.unwrap();
    assert!(run.outcome().await.unwrap().is_finished());
    worker.stop().await.unwrap();
    assert_eq!(team.store().await.workers().await.unwrap(), []);
}

#[tokio::test]
async fn a_worker_that_nobody_gives_anything_to_do_is_refused() {
    let runtime = World::new().builder().build().await.unwrap();
    let refused = Worker::new(runtime).start().await;
    assert!(matches!(refused, Err(WorkerError::NoCommunicator)), "{refused:?}");
}

type Order = Arc<Mutex<Vec<i64>>>;

/// Notes when its step began.
#[process(name = "it::Noted", needs(Order))]
#[derive(Default)]
struct Noted {}

spec! { Noted { input n: i64; } }
outline! { Noted { note; } }

impl Noted {
    fn note(&self, cx: &mut Cx<Self>) {
        cx.resource::<Order>().lock().unwrap().push(cx.inputs().n);
    }
}

#[tokio::test]
async fn greater_priority_runs_first_and_a_queue_waits_for_a_worker_that_serves_it() {
    let (store, order): (Arc<dyn Store>, Order) = (Arc::new(MemoryStore::new()), Order::default());
    let builder = |queues: &[&'static str]| {
        let options = WorkerOptions::new().queues(queues.iter().copied());
        let builder = Runtime::builder().shared_store(Arc::clone(&store)).worker(options).concurrent(1);
        builder.resource(order.clone()).register::<Noted>()
    };
    let creator = builder(&[]).build().await.unwrap();
    let mut runs = Vec::new();
    for n in [1_i32, 3, 2] {
        runs.push(creator.launch(Noted::inputs().n(n.into())).anywhere().priority(n).await.unwrap());
    }
    let gpu = creator.launch(Noted::inputs().n(9)).anywhere().queue("gpu").priority(9).await.unwrap();
    let worker = builder(&[""]).build().await.unwrap();
    for run in runs {
        assert!(run.outcome().await.unwrap().is_finished());
    }
    assert_eq!(*order.lock().unwrap(), [3, 2, 1]);
    assert_eq!(creator.doctor().unwrap().examine().await.unwrap().processes, 1, "the other one waits");
    let other = builder(&["gpu"]).build().await.unwrap();
    assert!(gpu.outcome().await.unwrap().is_finished());
    drop((worker, other));
}
