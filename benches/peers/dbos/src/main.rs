//! DBOS for Rust, on PostgreSQL: a workflow is a row, and each step another one with what it gave. Flushed as the server
//! flushes.

use std::sync::Arc;

use common::{STEPS, State};
use dbos::{Config, DBOS};

/// More than there are processors, so that commits share flushes.
const CONNECTIONS: u32 = 32;

async fn work(process: u64) -> dbos::Result<State> {
    let mut state = State::new(process);
    for _ in 0..STEPS {
        let before = state.clone();
        state = dbos::step("work", move || {
            let after = before.step();
            async move { dbos::Result::Ok(after) }
        })
        .await?;
    }
    Ok(state)
}

#[tokio::main]
async fn main() {
    let (url, pace) = common::arguments();
    let app_version = Some("1".to_owned());
    let dbos = DBOS::new(Config { max_connections: CONNECTIONS, app_version, ..Config::new("peer-dbos", url) });
    let work = Arc::new(dbos.register_workflow("work", work).expect("registered"));
    dbos.launch().await.expect("launched");
    let run = move |number| {
        let work = Arc::clone(&work);
        async move { work.run(number).await.expect("a result").check(number) }
    };
    common::tell(&pace.keep(run).await);
    dbos.shutdown().await;
}
