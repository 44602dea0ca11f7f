//! W2d: as W2a, on PostgreSQL: what a step costs where nobody shares its commit. The limit commits one row at a time, on one
//! connection.

use std::sync::Arc;

use tokio_postgres::NoTls;

use crate::measure::{Bench, Sample, tokio};
use crate::postgres::{self, Postgres};
use crate::report::Row;
use crate::w2::{ENDLESS, Load, SHORT, STATE, Stopwatch, text};
use crate::w2c::{check, counted, ours, run};

const UPSERT: &str = "INSERT INTO state VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET n = excluded.n, state = excluded.state";

pub(crate) fn one(bench: &Bench) -> Vec<Row> {
    if postgres::programs().is_none() {
        return vec![Row::not_measured("W2d", "1 process, PostgreSQL", "steps/s")];
    }
    let server = Postgres::start(&["max_wal_size = '4GB'"]);
    let endless = bench.case(|| ours(bench, &server, 1, ENDLESS), || limit(bench, &server, ENDLESS));
    let short = bench.case(|| ours(bench, &server, 1, SHORT), || limit(bench, &server, SHORT));
    let mut rows = vec![
        Row::new("W2d", "1 process, PostgreSQL", "steps/s", "", endless),
        Row::new("W2d", "1 at a time of 30 steps", "steps/s", "", short),
    ];
    rows.extend(counted(bench, "W2d", "1 process", 1));
    rows
}

/// Commits of one row each. A process of so many steps is one row, written once more when it is created.
fn limit(bench: &Bench, server: &Postgres, steps: u64) -> Sample {
    let load = Arc::new(Load::default());
    let table = "CREATE TABLE state (id bigint PRIMARY KEY, n bigint NOT NULL, state text NOT NULL)";
    tokio().block_on(run(server, &format!("{table} WITH (fillfactor = 60)")));
    let rate = std::thread::scope(|scope| {
        scope.spawn(|| tokio().block_on(commit_each(server, &load, steps)));
        load.watch(bench)
    });
    tokio().block_on(async {
        check(server, "SELECT sum(n)::bigint FROM state", &load).await;
        run(server, "DROP TABLE state; CHECKPOINT").await;
    });
    load.sample(rate)
}

async fn commit_each(server: &Postgres, load: &Load, steps: u64) {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let upsert = client.prepare(UPSERT).await.expect("prepared");
    let (mut watch, mut state, mut id, mut n) = (Stopwatch::default(), String::new(), 0_i64, 0_i64);
    while !load.stopped() {
        if n == 0 && steps != ENDLESS {
            client.execute(&upsert, &[&id, &0_i64, &""]).await.expect("written");
        }
        watch.step(load);
        n += 1;
        text(&mut state, n.cast_unsigned(), STATE);
        client.execute(&upsert, &[&id, &n, &state]).await.expect("written");
        if n.cast_unsigned() == steps {
            (id, n) = (id + 1, 0);
        }
    }
    load.add_latencies(watch.latencies);
}
