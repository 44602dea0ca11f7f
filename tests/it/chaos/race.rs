//! Workers that race for one process.

use procession::store::{PostgresOptions, PostgresStore, Store, Worker};
use procession::{Runtime, WorkerOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::load::chain;
use crate::points::ledger::{Effects, Ledger};
use crate::postgres::Postgres;

/// How often the process changes hands.
const ROUNDS: usize = 200;

/// Two claim in a tight loop: whoever has it gives it back, and nobody else has it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn two_workers_that_race_for_one_process_have_it_in_turn_and_it_ends_once() {
    let (server, schema) = (Postgres::shared(), Postgres::schema());
    let open = async || {
        let options = PostgresOptions::new().with_schema(&*schema).with_connections(2);
        Arc::new(PostgresStore::connect(&server.url(), options).await.unwrap())
    };
    let store = open().await;
    let build = async |store: Arc<PostgresStore>, queue: &str| {
        let effects = Effects::open(Path::new("/dev/null")).unwrap();
        let builder = Runtime::builder().shared_store(store).worker(WorkerOptions::new().queues([queue]));
        builder.resource(effects).register::<Ledger>().build().await.unwrap()
    };
    let client = build(Arc::clone(&store), "of nobody").await;
    let run = client.launch(Ledger::inputs().name("raced").steps(9)).anywhere().await.unwrap();
    let (holders, had) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut racers = tokio::task::JoinSet::new();
    for number in 0..2 {
        let (store, holders, had) = (open().await, Arc::clone(&holders), Arc::clone(&had));
        racers.spawn(async move {
            let (host, version, queues) = ("here".to_owned(), String::new(), vec![String::new()]);
            let worker = Worker { host, os_process: number, version, queues, slots: 1 };
            let epoch = store.join(worker, Duration::from_secs(600)).await.unwrap();
            while had.load(Ordering::SeqCst) < ROUNDS {
                let claimed = store.claim(epoch, 1, 5).await.unwrap().records;
                if let [record] = &claimed[..] {
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "the other has it");
                    had.fetch_add(1, Ordering::SeqCst);
                    holders.fetch_sub(1, Ordering::SeqCst);
                    store.hand_over(epoch, vec![record.pid.clone()]).await.unwrap();
                }
            }
            store.release(epoch).await.unwrap();
        });
    }
    while let Some(raced) = racers.join_next().await {
        raced.unwrap();
    }
    // Now for those that run it.
    let (one, other) = (build(open().await, "").await, build(open().await, "").await);
    let end = run.outcome().await.unwrap().finished().unwrap();
    assert_eq!(end.chain, chain("raced", 9, 0, 0));
    let history = store.history(run.pid()).await.unwrap();
    assert_eq!(history.iter().filter(|entry| entry.to.is_terminal()).count(), 1);
    for runtime in [one, other, client] {
        runtime.shutdown().await.unwrap();
    }
}
