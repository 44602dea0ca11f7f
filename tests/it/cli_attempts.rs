//! What `status`, `watch` and `events` tell of a process that was lost with its workers.

use procession::clock::Timestamp;
use procession::store::{Commit, Envelope, Epoch, FORMAT, NewProcess, Placement, Store, StoreErrorKind, Worker};
use procession::{ProcessId, ProcessState};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

use super::cli_shell::{Shell, on_each_shared_store};
use super::support::eventually;

on_each_shared_store! {
    a_process_whose_worker_is_lost_twice_is_at_its_third_attempt,
}

/// Soon over.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

async fn join(store: &dyn Store, lease: Duration) -> Epoch {
    let queues = vec![String::new()];
    let worker = Worker { host: "node".to_owned(), os_process: 1, version: "test".to_owned(), queues, slots: 1 };
    store.join(worker, lease).await.unwrap()
}

/// Takes the process for as long as this.
async fn claim(store: &dyn Store, lease: Duration) -> Epoch {
    loop {
        let epoch = join(store, lease).await;
        match store.claim(epoch, 1, 5).await {
            // The machine was too slow: once more.
            Err(error) if error.kind() == StoreErrorKind::Stale => {}
            claimed => {
                let claimed = claimed.unwrap().records;
                assert_eq!(claimed.first().map(|record| record.pid.clone()), Some("one".into()));
                return epoch;
            }
        }
    }
}

async fn lapse(store: &dyn Store, epoch: Epoch) {
    let is_alive = |workers: Vec<procession::store::WorkerRow>| {
        workers.iter().find(|row| row.epoch == epoch).is_some_and(|row| row.alive)
    };
    eventually(async || !is_alive(store.workers().await.unwrap())).await;
}

fn running(placement: Placement) -> NewProcess {
    NewProcess {
        pid: "one".into(),
        key: None,
        parent: None,
        envelope: Envelope { format: FORMAT, process: "shell::Hold".into(), version: 1, fingerprint: String::new() },
        position: r#"{"at":{"step":"hold"}}"#.into(),
        context: "{}".into(),
        inputs: "{}".into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: Some("hold"),
        placement,
        messages: Vec::new(),
        at: Timestamp::from(SystemTime::now()),
    }
}

async fn a_process_whose_worker_is_lost_twice_is_at_its_third_attempt(shell: Shell) {
    let store = &*shell.store;
    let one: ProcessId = "one".into();
    let told = async || {
        let json = shell.json(&["status", "one"]).await["processes"][0].clone();
        let events = shell.prints(&["events", "one"]).await.lines().last().unwrap().to_owned();
        (json["attempt"].clone(), shell.prints(&["status", "one"]).await, events)
    };
    let first = join(store, LONG).await;
    store.create(first, running(Placement { unowned: true, ..Placement::default() })).await.unwrap();
    // The first claim follows no loss.
    let lost = claim(store, SHORT).await;
    lapse(store, lost).await;
    let (attempt, status, events) = told().await;
    assert_eq!((attempt, status.contains("attempt")), (json!(1), false), "{status}");
    assert!(events.starts_with("not running, worker lost, for ") && !events.contains("attempt"), "{events}");
    let lost = claim(store, SHORT).await;
    lapse(store, lost).await;
    let (attempt, status, events) = told().await;
    assert!(attempt == 2 && status.contains(": not running, worker lost, last heard from "), "{status}");
    assert!(status.contains(", at `hold`, attempt 2, for ") && events.ends_with(", attempt 2"), "{status}{events}");
    let third = claim(store, LONG).await;
    let (attempt, status, events) = told().await;
    assert!(attempt == 3 && status.contains(": running, at `hold`, attempt 3, for "), "{status}");
    assert!(events.starts_with("running for ") && events.ends_with(", attempt 3"), "{events}");
    let mut watching = shell.program(&["watch", "one"]);
    let told_first = watching.says("shell::Hold one: ").await;
    assert!(told_first.contains(": running, at `hold`") && told_first.ends_with(", attempt 3"), "{told_first}");
    // The next boundary is of an attempt that has succeeded.
    let commit =
        Commit::new(one, third, Timestamp::from(SystemTime::now()), ProcessState::Running, ProcessState::Running);
    store.commit(Commit { steps: 1, ..commit }).await.unwrap();
    let told_then = watching.says("shell::Hold one: ").await;
    assert!(told_then.contains(": running, at `hold`") && !told_then.contains("attempt"), "{told_then}");
    let (attempt, status, events) = told().await;
    assert_eq!(
        (attempt, status.contains("attempt"), events.contains("attempt")),
        (json!(1), false, false),
        "{status}{events}"
    );
    store.release(third).await.unwrap();
    assert_eq!(shell.json(&["show", "one"]).await.get("attempt"), None::<&Value>);
}
