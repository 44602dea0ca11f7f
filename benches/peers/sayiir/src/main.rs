//! sayiir, on PostgreSQL: a row per workflow, one per step with what it gave, and a history of all snapshots; flushed as the
//! server flushes. A process of three steps is five commits. All but the last notify those who listen, and PostgreSQL does
//! one commit at a time that notifies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use common::State;
use sayiir_postgres::{PoolOptions, PostgresBackend};
use sayiir_runtime::prelude::*;
use tokio_util::task::LocalPoolHandle;

/// More than there are processors, so that commits share flushes.
const CONNECTIONS: u32 = 32;

#[tokio::main]
async fn main() {
    let (url, pace) = common::arguments();
    let options = PoolOptions { max_connections: Some(CONNECTIONS), ..PoolOptions::default() };
    let backend = PostgresBackend::<JsonCodec>::connect_with_options(&url, options).await.expect("a store");
    let runner = Arc::new(CheckpointingRunner::new(backend));
    // A status has no result; to ask the database for it would be a statement that the others do not need.
    let results = Arc::new(Mutex::new(HashMap::new()));
    let given = Arc::clone(&results);
    let context = WorkflowContext::new("three", Arc::new(JsonCodec), Arc::new(()));
    let workflow = WorkflowBuilder::new(context)
        .then("one", |state: State| async move { Ok(state.step()) })
        .then("two", |state: State| async move { Ok(state.step()) })
        .then("three", move |state: State| {
            let state = state.step();
            given.lock().expect("no panic").insert(state.process, state.clone());
            async move { Ok(state) }
        })
        .build();
    let workflow = Arc::new(workflow.expect("a workflow"));
    // The compiler does not see that a run may change threads, so each stays on one.
    let threads = LocalPoolHandle::new(std::thread::available_parallelism().map_or(1, usize::from));
    let run = move |process: u64| {
        let (runner, workflow, results) = (Arc::clone(&runner), Arc::clone(&workflow), Arc::clone(&results));
        let threads = threads.clone();
        async move {
            let id = process.to_string();
            let ended =
                threads.spawn_pinned(move || async move { runner.run(&*workflow, id, State::new(process)).await });
            let status = ended.await.expect("no panic").expect("an end");
            assert!(matches!(status, WorkflowStatus::Completed), "{status:?}");
            let result = results.lock().expect("no panic").remove(&process);
            result.expect("a result").check(process);
        }
    };
    common::tell(&pace.keep(run).await);
}
