//! Ends of processes that other workers have.

use procession::WorkerOptions;
use procession::process::Ended;
use std::sync::Arc;

use super::{Counted, LEASE, Team};
use crate::faulty::Faulty;
use crate::support::eventually;

/// However many are waited for, the store is asked for the ends of all of them in a few questions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ends_of_a_thousand_processes_elsewhere_are_asked_for_together() {
    const MANY: usize = 1_000;
    let team = Team::in_memory();
    let store = Faulty::over(Arc::clone(&team.world.store), u64::MAX);
    let nothing = WorkerOptions::new().queues(["of nobody"]).lease(LEASE);
    let client = team.worker_on(store.clone()).worker(nothing).build().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..MANY {
        runs.push(client.launch(Counted::inputs().rounds(1)).anywhere().await.unwrap());
    }
    store.asked.lock().unwrap().clear();
    // The first ones may be of a look that began with fewer.
    let first = MANY.div_ceil(procession::limits::ENDS);
    eventually(|| async { store.asked.lock().unwrap().len() >= first + 8 }).await;
    let least = MANY % procession::limits::ENDS;
    for question in store.asked.lock().unwrap().iter().skip(first) {
        assert!((least..=procession::limits::ENDS).contains(question), "of {question} processes");
    }
    let worker = team.worker().await.build().await.unwrap();
    for run in runs {
        let outcome = run.termination().await.unwrap();
        assert!(matches!(outcome.ended, Ended::Finished { .. }), "{outcome:?}");
    }
    client.shutdown().await.unwrap();
    worker.shutdown().await.unwrap();
}
