//! W2c: as W2b, on PostgreSQL. The limit is one row per process, written by upserts of all that is queued, on two
//! connections in turn.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use procession::store::{PostgresOptions, PostgresStore};
use tokio_postgres::NoTls;

use crate::measure::{Bench, Case, Sample, ratio, tokio};
use crate::postgres::{self, Postgres};
use crate::report::Row;
use crate::w2::{ENDLESS, Job, Load, SHORT, processes, writers};

pub(crate) const UPSERT: &str = "INSERT INTO state SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[])
    ON CONFLICT (id) DO UPDATE SET n = excluded.n, state = excluded.state";

/// Connections that take turns.
const CONNECTIONS: usize = 2;

pub(crate) fn thousand(bench: &Bench) -> Vec<Row> {
    if postgres::programs().is_none() {
        return vec![Row::not_measured("W2c", "1,000 processes, PostgreSQL", "steps/s")];
    }
    let many = bench.count(1_000, 1_000);
    let server = Postgres::start(&["max_wal_size = '4GB'"]);
    let endless = bench.case(|| ours(bench, &server, many, ENDLESS), || limit(bench, &server, many, ENDLESS));
    let short = bench.case(|| ours(bench, &server, many, SHORT), || limit(bench, &server, many, SHORT));
    let mut rows = vec![
        Row::new("W2c", "1,000 processes, PostgreSQL", "steps/s", "≥ 0.30", endless),
        Row::new("W2c", "1,000 at a time of 30 steps", "steps/s", "", short),
    ];
    rows.extend(counted(bench, "W2c", "1,000 processes", many));
    rows
}

/// What the server is asked per step: as it counts itself, in a run that is not timed.
pub(crate) fn counted(bench: &Bench, workload: &'static str, name: &str, many: usize) -> [Row; 2] {
    let (commits, statements) = (format!("{name}: commits per step"), format!("{name}: statements per step"));
    let library = postgres::programs().is_some_and(|bin| bin.join("../lib/pg_stat_statements.so").exists());
    if !library {
        eprintln!("\nNOT MEASURED: statements per step. PostgreSQL has no `pg_stat_statements` here.\n");
        return [(commits, "commits"), (statements, "statements")]
            .map(|(name, unit)| Row::not_measured(workload, name, unit));
    }
    let server = Postgres::start(&["shared_preload_libraries = 'pg_stat_statements'", "max_wal_size = '4GB'"]);
    tokio().block_on(run(&server, "CREATE EXTENSION pg_stat_statements"));
    let load = Arc::new(Load::default());
    let before = tokio().block_on(counts(&server));
    measure(bench, &server, &load, many, ENDLESS);
    let after = tokio().block_on(counts(&server));
    let row = |name, unit, before, after: u64| {
        let sample = Sample::new(ratio(after - before, load.steps()));
        Row::new(workload, name, unit, "", Case::alone(sample)).without_limit()
    };
    [row(commits, "commits", before.0, after.0), row(statements, "statements", before.1, after.1)]
}

/// Commits and statements so far; a few of them are the benchmark's own.
async fn counts(server: &Postgres) -> (u64, u64) {
    let sql = "SELECT (SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = 'postgres')::bigint,
        (SELECT sum(calls) FROM pg_stat_statements)::bigint";
    let row = server.client().await.query_one(sql, &[]).await.expect("counts");
    (row.get::<_, i64>(0).cast_unsigned(), row.get::<_, i64>(1).cast_unsigned())
}

pub(crate) fn ours(bench: &Bench, server: &Postgres, many: usize, steps: u64) -> Sample {
    let load = Arc::new(Load::default());
    let rate = measure(bench, server, &load, many, steps);
    load.sample(rate)
}

fn measure(bench: &Bench, server: &Postgres, load: &Arc<Load>, many: usize, steps: u64) -> (f64, Option<f64>) {
    let schema = Postgres::schema();
    tokio().block_on(async {
        let options = PostgresOptions::new().with_schema(&*schema);
        let store = PostgresStore::connect(&server.url(), options).await.expect("a store");
        let rate = processes(bench, store, load, many, steps).await;
        check(server, &format!("SELECT sum(steps)::bigint FROM {schema}.checkpoint"), load).await;
        run(server, &format!("DROP SCHEMA {schema} CASCADE; CHECKPOINT")).await;
        rate
    })
}

fn limit(bench: &Bench, server: &Postgres, many: usize, steps: u64) -> Sample {
    let load = Arc::new(Load::default());
    let (queue, jobs) = mpsc::channel::<Job>();
    let jobs = Mutex::new(jobs);
    let table = "CREATE TABLE state (id bigint PRIMARY KEY, n bigint NOT NULL, state text NOT NULL)";
    tokio().block_on(run(server, &format!("{table} WITH (fillfactor = 60)")));
    let rate = std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| tokio().block_on(commit_all(server, &jobs)));
        }
        writers(bench, queue, &load, many, steps)
    });
    tokio().block_on(async {
        check(server, "SELECT sum(n)::bigint FROM state", &load).await;
        run(server, "DROP TABLE state; CHECKPOINT").await;
    });
    load.sample(rate)
}

/// Takes all that is queued, writes it as one statement, and answers.
async fn commit_all(server: &Postgres, jobs: &Mutex<mpsc::Receiver<Job>>) {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let upsert = client.prepare(UPSERT).await.expect("prepared");
    loop {
        let batch: Vec<Job> = {
            let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(first) = jobs.recv() else { return };
            std::iter::once(first).chain(jobs.try_iter()).collect()
        };
        let ids: Vec<i64> = batch.iter().map(|job| job.id).collect();
        let numbers: Vec<i64> = batch.iter().map(|job| job.n.cast_signed()).collect();
        let states: Vec<&str> = batch.iter().map(|job| job.state.as_str()).collect();
        client.execute(&upsert, &[&ids, &numbers, &states]).await.expect("written");
        for job in batch {
            let _ = job.done.send(job.state);
        }
    }
}

pub(crate) async fn run(server: &Postgres, sql: &str) {
    server.client().await.batch_execute(sql).await.expect("it runs");
}

/// What the database has in the end is what was done.
pub(crate) async fn check(server: &Postgres, sql: &str, load: &Load) {
    let stored: i64 = server.client().await.query_one(sql, &[]).await.expect("a sum").get(0);
    assert_eq!(stored.cast_unsigned(), load.steps(), "every step is stored");
}
