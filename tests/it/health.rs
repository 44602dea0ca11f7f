//! How a runtime is, as it tells.

use procession::communicator::{Communicator, LocalCommunicator};
use procession::prelude::*;
use procession::store::Store;
use procession::{Answers, Health};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::faulty::Faulty;
use super::support::eventually;
use super::workers::{Counted, Team};

#[tokio::test]
async fn a_runtime_tells_what_it_has_and_that_all_is_well() {
    let communicator: Arc<dyn Communicator> = Arc::new(LocalCommunicator::new());
    let team = Team::in_memory();
    let runtime = team.worker().await.concurrent(2).communicator(Arc::clone(&communicator)).build().await.unwrap();
    for _ in 0..3 {
        runtime.launch(Counted::inputs().gated(true)).await.unwrap();
    }
    team.world.gate.reached().await;
    team.world.gate.reached().await;
    let health = runtime.health().await;
    assert!(health.is_healthy() && health.healthy && !health.closing, "{health:?}");
    assert_eq!((health.slots, health.slots_used, health.slots_free, health.processes), (2, 2, 0, 3));
    assert!(matches!(health.store, Some(Answers::After(_))));
    assert_eq!(health.communicator, Some(true));
    let lease = health.lease.clone().unwrap();
    assert!(lease.left_ms > 0 && lease.left_ms <= lease.lasts_ms && !lease.late, "{lease:?}");
    let text = serde_json::to_string(&health).unwrap();
    assert_eq!(serde_json::from_str::<Health>(&text).unwrap(), health);
    communicator.close().await.unwrap();
    let health = runtime.health().await;
    assert_eq!(health.problems, ["its communicator is not connected"]);
    team.world.gate.open(100);
    runtime.shutdown().await.unwrap();
    assert!(runtime.health().await.closing);
}

#[tokio::test]
async fn a_store_that_hangs_does_not_keep_health_from_being_told() {
    let team = Team::in_memory();
    let store = Faulty::over(Arc::clone(&team.world.store), u64::MAX);
    let runtime = team.worker_on(Arc::clone(&store) as Arc<dyn Store>).build().await.unwrap();
    store.silent.store(true, Ordering::SeqCst);
    let asked = Instant::now();
    let health = runtime.health().await;
    assert!(asked.elapsed() < procession::limits::HEALTH * 5, "{:?}", asked.elapsed());
    assert_eq!((health.store, health.healthy), (Some(Answers::Silent), false));
    store.silent.store(false, Ordering::SeqCst);
    assert!(runtime.health().await.is_healthy());
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_is_late_and_then_lost() {
    let team = Team::in_memory();
    let store = Faulty::over(Arc::clone(&team.world.store), u64::MAX);
    let runtime = team.worker_on(Arc::clone(&store) as Arc<dyn Store>).build().await.unwrap();
    let epoch = runtime.health().await.lease.unwrap().epoch;
    store.full.store(true, Ordering::SeqCst);
    let tells = |what: &'static str| {
        let runtime = &runtime;
        move || async move { runtime.health().await.problems.iter().any(|problem| problem.contains(what)) }
    };
    eventually(tells("was not renewed in time")).await;
    eventually(tells("may have lapsed")).await;
    store.full.store(false, Ordering::SeqCst);
    eventually(|| async { runtime.health().await.is_healthy() }).await;
    let health = runtime.health().await;
    assert_eq!(health.counted.leases_lost, 1);
    assert_ne!(health.lease.unwrap().epoch, epoch);
    let run = runtime.launch(Counted::inputs()).anywhere().await.unwrap();
    assert!(run.outcome().await.unwrap().is_finished());
}

#[tokio::test]
async fn a_runtime_without_a_store_has_neither_lease_nor_store_to_tell_of() {
    let runtime = Runtime::volatile().build().await.unwrap();
    let health = runtime.health().await;
    assert!(health.is_healthy() && health.lease.is_none() && health.store.is_none(), "{health:?}");
}
