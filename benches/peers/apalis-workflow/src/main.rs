//! apalis-workflow, on PostgreSQL: a row per step with what it is given, and with what it gave; flushed as the server flushes.
//! What the last step gives is told here before it is written: it is written with others, later. Every new task notifies
//! those who listen, and PostgreSQL does one commit at a time that notifies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use apalis_workflow::SteppedFlow;
use common::State;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::oneshot;

/// As many as the other peers have.
const CONNECTIONS: u32 = 32;
/// How many tasks it takes, and runs, at the same time.
const AT_ONCE: usize = 100;
/// How often it looks for tasks of which it has not heard: a notification that comes while it looks is lost.
const LOOK: Duration = Duration::from_millis(10);
/// How often it says that it is there, and looks, too: a time to look that comes while it looks is lost, as well.
const HEARTBEAT: Duration = Duration::from_secs(1);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<State>>>>;

#[tokio::main]
async fn main() {
    let (url, pace) = common::arguments();
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&url).await.expect("a store");
    PostgresStorage::setup(&pool).await.expect("tables");
    let config = Config::default().queue("three").batch_size(AT_ONCE).heartbeat_interval(HEARTBEAT);
    let storage = PostgresStorage::<State>::new(&pool).with_config(config).with_pubsub();
    let storage = storage.poll_with_strategy(Strategy::new().interval(LOOK));
    let waiting = Waiting::default();
    let given = Arc::clone(&waiting);
    let flow = SteppedFlow::new("three")
        .and_then(|state: State| async move { Ok::<_, BoxDynError>(state.step()) })
        .and_then(|state: State| async move { Ok::<_, BoxDynError>(state.step()) })
        .and_then(move |state: State| {
            let state = state.step();
            let waiting = given.lock().expect("no panic").remove(&state.process);
            async move {
                // It may run a step twice: the second result has nobody who waits.
                let _ = waiting.map(|waiting| waiting.send(state));
                Ok::<_, BoxDynError>(())
            }
        });
    let worker = WorkerBuilder::new("worker").backend(storage.clone()).concurrency(AT_ONCE).build(flow);
    tokio::spawn(async move {
        eprintln!("the worker ended: {:?}", worker.run().await);
        std::process::exit(1);
    });
    let run = move |process: u64| {
        let (mut storage, waiting) = (storage.clone(), Arc::clone(&waiting));
        async move {
            let (given, result) = oneshot::channel();
            waiting.lock().expect("no panic").insert(process, given);
            storage.push(State::new(process)).await.expect("pushed");
            result.await.expect("a result").check(process);
        }
    };
    common::tell(&pace.keep(run).await);
}
